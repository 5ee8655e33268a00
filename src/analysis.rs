//! AnalysisRuns: what to measure, when, and what the measurements say about a version.
