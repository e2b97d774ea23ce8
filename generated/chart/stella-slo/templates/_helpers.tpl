{{/* Names. What is made of the release's name is cut at 63 characters and stays unique by a hash. */}}
{{- define "stella-slo.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* root, part: the name of one object. */}}
{{- define "stella-slo.part" -}}
{{- $name := printf "%s-%s" (include "stella-slo.fullname" .root) .part -}}
{{- if gt (len $name) 63 -}}
{{- printf "%s-%s" (trunc 54 $name | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{/* What selects pods. It never changes: a Deployment's selector is immutable. */}}
{{- define "stella-slo.selector" -}}
app.kubernetes.io/name: {{ .root.Values.nameOverride | default .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* root, component, and perhaps labels: the labels of an object, as YAML. */}}
{{- define "stella-slo.labels" -}}
{{- $root := .root -}}
{{- $labels := include "stella-slo.selector" . | fromYaml -}}
{{- $_ := set $labels "app.kubernetes.io/version" ($root.Chart.AppVersion | toString) -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" "stella-ops" -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- with $root.Values.channel -}}
{{- $_ := set $labels (printf "%s/channel" $root.Chart.Name) . -}}
{{- end -}}
{{- toYaml (mergeOverwrite (dict) $root.Values.commonLabels (.labels | default dict) $labels) -}}
{{- end -}}

{{/* root, component, part, and perhaps labels, annotations, namespace: the metadata of an object, as YAML. */}}
{{- define "stella-slo.metadata" -}}
name: {{ include "stella-slo.part" . }}
namespace: {{ .namespace | default .root.Release.Namespace }}
labels:
  {{- include "stella-slo.labels" . | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* root, path: a file of the chart; where the chosen object store wants another one, that. */}}
{{- define "stella-slo.file" -}}
{{- $mode := (.root.Values.storage | default dict).mode | default "" -}}
{{- .root.Files.Get (printf "files/%s/%s" $mode .path) | default (.root.Files.Get (printf "files/%s" .path)) -}}
{{- end -}}
