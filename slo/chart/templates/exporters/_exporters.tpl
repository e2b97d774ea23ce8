{{/* root: the service account of the exporters. */}}
{{- define "CHART.serviceAccount" -}}
{{- .root.Values.exporters.serviceAccount.name | default (include "CHART.part" (dict "root" .root "part" "exporters")) -}}
{{- end -}}

{{/* image: registry/repository@digest; a tag counts only where there is no digest. */}}
{{- define "CHART.image" -}}
{{- $name := .repository -}}
{{- with .registry -}}{{- $name = printf "%s/%s" (trimSuffix "/" .) $name -}}{{- end -}}
{{- if .digest -}}
{{- printf "%s@%s" $name .digest -}}
{{- else if .tag -}}
{{- printf "%s:%s" $name .tag -}}
{{- else -}}
{{- fail "exporters.image.digest is empty: images are pulled by digest only; set it to the sha256:... of the release manifest (or exporters.image.tag, for development)" -}}
{{- end -}}
{{- end -}}

{{/* root, name, settings: the configuration of one exporter. Where it listens and keeps its state is the chart's to say. */}}
{{- define "CHART.config" -}}
{{- $config := .settings.config -}}
{{- if not $config -}}
{{- fail (printf "exporters.%s.config is empty: say what the exporter is to check, or name a ConfigMap in exporters.%s.existingConfigMap" .name .name) -}}
{{- end -}}
{{- if and (eq .root.Values.exporters.scheme "https") (not $config.web_config) -}}
{{- fail (printf "exporters.scheme is https, and exporters.%s.config has no web_config: mount a web configuration with tls_server_config (secretFiles) and name its path there, or set exporters.scheme to http" .name) -}}
{{- end -}}
{{- $owned := dict "listen" ":9464" -}}
{{- with .settings.persistence -}}{{- $_ := set $owned "state" $.state -}}{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy $config) $owned) -}}
{{- end -}}

{{/* shared, path: how the kubelet asks. Where the server wants a client certificate it can only knock. */}}
{{- define "CHART.probe" -}}
{{- if eq .shared.probes "tcp" -}}
tcpSocket:
  port: http
{{- else -}}
httpGet:
  path: {{ .path }}
  port: http
  scheme: {{ upper .shared.scheme }}
{{- end -}}
{{- end -}}
