{{- define "tidegate.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tidegate.serviceAccount" -}}
{{- default (include "tidegate.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- /* Of cluster-wide objects: two releases may be called the same in two namespaces. */ -}}
{{- define "tidegate.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "tidegate.fullname" .) -}}
{{- end -}}

{{- define "tidegate.watchNamespace" -}}
{{- default .Release.Namespace .Values.watchNamespace -}}
{{- end -}}

{{- define "tidegate.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidegate.labels" -}}
{{ include "tidegate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "tidegate.subjects" -}}
- kind: ServiceAccount
  name: {{ include "tidegate.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{- /* As `tidegate controller` calls it when no name is given. */ -}}
{{- define "tidegate.lease" -}}
{{- if .Values.controller.lease.name -}}
{{- .Values.controller.lease.name -}}
{{- else -}}
{{- eq .Values.apiGroup "argoproj.io" | ternary "argo-rollouts-controller-lock" "tidegate" -}}
{{- with .Values.controller.instanceID }}-{{ . }}{{ end -}}
{{- end -}}
{{- end -}}
