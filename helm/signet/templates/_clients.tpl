{{- /* Clients as code: what `signet apply oauth2-clients` is told. */ -}}

{{- /* Whether there is a Job; without a client it may still have some to delete. */ -}}
{{- define "signet.clients.enabled" -}}
{{- if or .Values.clients .Values.clientsJob.prune }}true{{ end -}}
{{- end }}

{{- /* The file, as JSON, which writes numbers as they are. Secrets lie beside it, one file each, named by the client's place. */ -}}
{{- define "signet.clients.file" -}}
{{- $clients := list -}}
{{- range $index, $client := .Values.clients -}}
{{- $shown := omit $client "secretRef" -}}
{{- if $client.secretRef }}{{ $_ := set $shown "client_secret_file" (printf "secrets/%d" $index) }}{{ end -}}
{{- $clients = append $clients $shown -}}
{{- end -}}
{{- toPrettyJson $clients -}}
{{- end }}

{{- define "signet.clients.configMap" -}}
{{ include "signet.fullname" . }}-clients-{{ include "signet.clients.file" . | sha256sum | trunc 8 }}
{{- end }}

{{- define "signet.clients.dir" }}/etc/signet-clients{{ end }}

{{- /* The arguments, as JSON. The set is the release's own, so that no other release deletes its clients. */ -}}
{{- define "signet.clients.args" -}}
{{- $args := list "apply" "oauth2-clients" (printf "%s/clients.json" (include "signet.clients.dir" .)) -}}
{{- $args = concat $args (list "--set" (printf "%s/%s" .Release.Namespace (include "signet.fullname" .))) -}}
{{- $args = concat $args (list "--endpoint" (include "signet.serviceUrl" (dict "root" . "listener" "admin"))) -}}
{{- if .Values.service.public.enabled -}}
{{- $args = concat $args (list "--public" (include "signet.serviceUrl" (dict "root" . "listener" "public"))) -}}
{{- end -}}
{{- $args = concat $args (list "--wait" "5m") -}}
{{- if .Values.clientsJob.prune }}{{ $args = append $args "--prune" }}{{ end -}}
{{- if include "signet.terminated" . }}{{ $args = append $args "--fake-tls-termination" }}{{ end -}}
{{- toJson $args -}}
{{- end }}
