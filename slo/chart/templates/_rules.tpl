{{/*
Rules are data, never templates: they hold Prometheus' own {{ "{{ }}" }}. A file that no value changes is passed on
byte for byte; one that some value changes is read, changed as a structure, and written again.
*/}}

{{/* root, index, file: the text of one rule file; empty where every rule of it is switched off. */}}
{{- define "CHART.rules" -}}
{{- $text := include "CHART.file" (dict "root" .root "path" (printf "rules/%s.yaml" .file)) -}}
{{- $before := fromYaml $text -}}
{{- $groups := list -}}
{{- range $group := $before.groups -}}
{{- $rules := list -}}
{{- range $rule := $group.rules -}}
{{- if $rule.alert -}}
{{- $rules = concat $rules (include "CHART.alert" (dict "root" $.root "index" $.index "file" $.file "rule" $rule) | fromJsonArray) -}}
{{- else -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- end -}}
{{- if $rules -}}
{{- $groups = append $groups (set (omit $group "rules") "rules" $rules) -}}
{{- end -}}
{{- end -}}
{{- if $groups -}}
{{- if eq (toJson $groups) (toJson $before.groups) -}}
{{- $text -}}
{{- else -}}
{{- toYaml (dict "groups" $groups) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* root, index, file, rule: what becomes of one alert, as a JSON list: nothing, itself, or itself and SLOs of their own. */}}
{{- define "CHART.alert" -}}
{{- $name := .rule.alert -}}
{{- $overrides := .root.Values.alerts.overrides -}}
{{- $own := get $overrides $name | default dict -}}
{{- /* An alert that a monitor is blind goes with the monitor. */ -}}
{{- $watched := (.rule.labels | default dict).monitor | default $name -}}
{{- $channel := .root.Values.channel -}}
{{- $channels := get .index.channels $watched | default list -}}
{{- $elsewhere := and $channel $channels (not (has $channel $channels)) -}}
{{- $rules := list -}}
{{- if not (or $own.disabled (get $overrides $watched | default dict).disabled $elsewhere) -}}
{{- $apart := list -}}
{{- $copies := list -}}
{{- if has $name .index.shared -}}
{{- range $slo, $changes := .root.Values.slos.overrides -}}
{{- if and (eq (get $.index.slos $slo) $.file) (hasKey $changes $name) -}}
{{- $apart = append $apart $slo -}}
{{- $change := mergeOverwrite (deepCopy $own) (get $changes $name) -}}
{{- if not $change.disabled -}}
{{- $copy := include "CHART.changed" (dict "root" $.root "rule" $.rule "change" $change) | fromJson -}}
{{- $_ := set $copy "expr" (printf "(\n%s\n)\nand on (slo) %s{stack=%q,slo=%q}" $.rule.expr $.index.budget $.index.stack $slo) -}}
{{- $_ := set $copy "labels" (merge (dict "slo" $slo) $copy.labels) -}}
{{- $copies = append $copies $copy -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $main := include "CHART.changed" (dict "root" .root "rule" .rule "change" $own) | fromJson -}}
{{- if $apart -}}
{{- $_ := set $main "expr" (printf "(\n%s\n)\nunless on (slo) %s{stack=%q,slo=~%q}" .rule.expr .index.budget .index.stack (join "|" $apart)) -}}
{{- end -}}
{{- $rules = prepend $copies $main -}}
{{- end -}}
{{- toJson $rules -}}
{{- end -}}

{{/* root, rule, change: one alert with what the values say of all alerts and of this one, as JSON. */}}
{{- define "CHART.changed" -}}
{{- $rule := deepCopy .rule -}}
{{- $all := .root.Values.alerts -}}
{{- $labels := mergeOverwrite (dict) ($rule.labels | default dict) $all.labels (.change.labels | default dict) -}}
{{- with .change.severity -}}{{- $_ := set $labels "severity" . -}}{{- end -}}
{{- $said := $rule.annotations | default dict -}}
{{- with .root.Values.links.grafana -}}
{{- if hasPrefix "/" ($said.dashboard_url | default "") -}}
{{- $_ := set $said "dashboard_url" (printf "%s%s" (trimSuffix "/" .) $said.dashboard_url) -}}
{{- end -}}
{{- end -}}
{{- with .root.Values.links.runbooks -}}
{{- if $said.runbook_url -}}
{{- $_ := set $said "runbook_url" (printf "%s/%s" (trimSuffix "/" .) (base $said.runbook_url)) -}}
{{- end -}}
{{- end -}}
{{- $said = mergeOverwrite $said $all.annotations (.change.annotations | default dict) -}}
{{- if $labels -}}{{- $_ := set $rule "labels" $labels -}}{{- end -}}
{{- if $said -}}{{- $_ := set $rule "annotations" $said -}}{{- end -}}
{{- with .change.for -}}{{- $_ := set $rule "for" . -}}{{- end -}}
{{- with .change.keepFiringFor -}}{{- $_ := set $rule "keep_firing_for" . -}}{{- end -}}
{{- toJson $rule -}}
{{- end -}}
