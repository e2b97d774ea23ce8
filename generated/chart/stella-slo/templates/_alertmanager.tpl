{{/* receivers, settings by name: the receivers with their settings, as JSON. */}}
{{- define "stella-slo.receivers" -}}
{{- $made := list -}}
{{- range .receivers -}}
{{- $made = append $made (mergeOverwrite (deepCopy .) (get $.settings .name | default dict)) -}}
{{- end -}}
{{- toJson $made -}}
{{- end -}}

{{/* path, value: fails where a setting that is a secret is written out. Secrets are referred to, never held. */}}
{{- define "stella-slo.refuseSecrets" -}}
{{- if kindIs "map" .value -}}
{{- range $key, $value := .value -}}
{{- $path := printf "%s.%s" $.path $key -}}
{{- if and (kindIs "string" $value) (regexMatch "(^|_)(routing_key|service_key|api_key|user_key|token|password|secret|credentials|api_url|webhook_url)$" $key) -}}
{{- fail (printf "%s is a secret, and a secret is not written into values: mount a Secret into Alertmanager and name its file in %s_file" $path $key) -}}
{{- end -}}
{{- include "stella-slo.refuseSecrets" (dict "path" $path "value" $value) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $n, $value := .value -}}
{{- include "stella-slo.refuseSecrets" (dict "path" (printf "%s[%d]" $.path $n) "value" $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
