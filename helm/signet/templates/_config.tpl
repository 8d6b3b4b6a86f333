{{- /* The configuration file, and what the chart itself adds to the values' config. */ -}}

{{- define "signet.config" -}}
{{- $v := .Values -}}
{{- $config := deepCopy $v.config -}}
{{- $_ := unset $config "dsn" -}}
{{- with $config.secrets }}{{ $_ := unset (unset . "system") "cookie" }}{{ if not . }}{{ $_ := unset $config "secrets" }}{{ end }}{{ end -}}
{{- with $config.redis }}{{ $_ := unset . "url" }}{{ if not . }}{{ $_ := unset $config "redis" }}{{ end }}{{ end -}}
{{- range $name := list "gateway" "metrics" -}}
{{- if (get $v.service $name).enabled -}}
{{- $listener := dict "enabled" true "host" "0.0.0.0" "port" (int (include "signet.port" (dict "root" $ "listener" $name))) -}}
{{- $_ := set $config.serve $name (mergeOverwrite $listener (get $config.serve $name | default dict) (dict "enabled" true)) -}}
{{- end -}}
{{- end -}}
{{- $drain := dict "drain_delay" (printf "%ds" (int $v.shutdown.drainDelay)) "timeout" (printf "%ds" (int $v.shutdown.timeout)) -}}
{{- $_ := set $config.serve "shutdown" $drain -}}
{{- $issuer := (($config.urls | default dict).self | default dict) -}}
{{- if not $issuer.issuer }}{{ $_ := unset $issuer "issuer" }}{{ end -}}
{{- tpl (toYaml $config) . -}}
{{- end }}

{{- /* The port that a listener has in the pod. */ -}}
{{- define "signet.port" -}}
{{- $known := dict "public" 4444 "admin" 4445 "gateway" 4446 "metrics" 9090 -}}
{{- int ((get .root.Values.config.serve .listener | default dict).port | default (get $known .listener)) -}}
{{- end }}

{{- /* HTTP or HTTPS: what a listener speaks. The metrics listener is plain. */ -}}
{{- define "signet.scheme" -}}
{{- $serve := .root.Values.config.serve -}}
{{- $tls := (get $serve .listener | default dict).tls | default $serve.tls | default dict -}}
{{- ternary "HTTPS" "HTTP" (and (ne .listener "metrics") (eq (toString $tls.enabled) "true") (not (empty (or $tls.cert $tls.key)))) -}}
{{- end }}

{{- /* The address of a listener's Service. */ -}}
{{- define "signet.serviceUrl" -}}
{{- $scheme := include "signet.scheme" . | lower -}}
{{- printf "%s://%s-%s:%d" $scheme (include "signet.fullname" .root) .listener (int (get .root.Values.service .listener).port) -}}
{{- end }}

{{- /* Whether listeners take plain HTTP from proxies alone; a caller within the release stands in for one. */ -}}
{{- define "signet.terminated" -}}
{{- $serve := .Values.config.serve -}}
{{- $tls := $serve.public.tls | default $serve.tls | default dict -}}
{{- if and (eq (toString $tls.enabled) "true") (not (or $tls.cert $tls.key)) }}true{{ end -}}
{{- end }}

{{- /* The names of the listeners that run, with commas. */ -}}
{{- define "signet.listeners" -}}
public,admin{{ range list "gateway" "metrics" }}{{ if (get $.Values.service .).enabled }},{{ . }}{{ end }}{{ end }}
{{- end }}

{{- /* The listener that the kubelet asks for health. */ -}}
{{- define "signet.healthListener" -}}
{{ ternary "metrics" "public" .Values.service.metrics.enabled }}
{{- end }}

{{- /* How migrations run: SQLite's file is in the server's own volume. */ -}}
{{- define "signet.migrations" -}}
{{- $mode := .Values.migrations.mode -}}
{{- if and .Values.sqlite.enabled (ne $mode "manual") }}initContainer{{ else }}{{ $mode }}{{ end -}}
{{- end }}
