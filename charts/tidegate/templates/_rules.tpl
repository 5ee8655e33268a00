{{- /*
What the controller does in the namespaces it serves, and nothing else. Secrets are read one by one by name, never
listed; Rollouts are the user's, so only their status is written.
*/ -}}
{{- define "tidegate.rules" -}}
- apiGroups: [{{ .Values.apiGroup }}]
  resources: [rollouts]
  verbs: [list, watch]
- apiGroups: [{{ .Values.apiGroup }}]
  resources: [rollouts/status]
  verbs: [patch]
- apiGroups: [{{ .Values.apiGroup }}]
  resources: [analysisruns]
  verbs: [list, watch, create, patch, delete]
{{- /* Argo Rollouts' definition of AnalysisRuns has no status subresource. */}}
{{- if eq .Values.apiGroup "tidegate.dev" }}
- apiGroups: [{{ .Values.apiGroup }}]
  resources: [analysisruns/status]
  verbs: [patch]
{{- end }}
- apiGroups: [{{ .Values.apiGroup }}]
  resources: [experiments]
  verbs: [list, watch, create, patch, delete]
{{- if eq .Values.apiGroup "tidegate.dev" }}
- apiGroups: [{{ .Values.apiGroup }}]
  resources: [experiments/status]
  verbs: [patch]
{{- end }}
- apiGroups: [{{ .Values.apiGroup }}]
  resources: [analysistemplates]
  verbs: [list, watch]
{{- if eq .Values.mode "cluster" }}
- apiGroups: [{{ .Values.apiGroup }}]
  resources: [clusteranalysistemplates]
  verbs: [list, watch]
{{- end }}
# Jobs of metrics, and why their pods get no image; both are watched by our label.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch, create, delete]
# Pods are watched by the label of metrics' Jobs only. Others are listed on demand: to give them metadata while they are new or
# stable, and to restart them.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
# ReplicaSets are watched by our label. One without it that has the name of ours is read by its name.
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get, list, watch, create, patch, delete]
# What spec.workloadRef names; scaleDown sizes Deployments.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [podtemplates]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
# Services are created and deleted for the templates of Experiments only.
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
