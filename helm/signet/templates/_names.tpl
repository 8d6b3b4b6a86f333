{{- /* Names, labels and the image. */ -}}

{{- /* At most 43 characters, so that "-migrate-01234567" (63 for a Job) and "-janitor" (52 for a CronJob) fit behind it. */ -}}
{{- define "signet.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 43 | trimSuffix "-" -}}
{{- end }}

{{- /* What selectors go by; it may never change for a release. Takes root and component. */ -}}
{{- define "signet.selector" -}}
app.kubernetes.io/name: {{ .root.Values.nameOverride | default .root.Chart.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "signet.labels" -}}
{{ include "signet.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: signet
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* metadata of an object. Takes root, component, name (what follows the release's) or as (the whole), labels, annotations. */ -}}
{{- define "signet.metadata" -}}
name: {{ .as | default (include "signet.fullname" .root) }}{{ with .name }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "signet.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "signet.serviceAccount" -}}
{{- $sa := .Values.serviceAccount -}}
{{- $sa.name | default (ternary (include "signet.fullname" .) "default" $sa.create) -}}
{{- end }}

{{- define "signet.image" -}}
{{- $image := .Values.image -}}
{{- with $image.registry | default .Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end }}

{{- /* Whether more than one replica may run. */ -}}
{{- define "signet.replicated" -}}
{{- $replicas := ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled -}}
{{- if and (gt (int $replicas) 1) (not .Values.sqlite.enabled) }}true{{ end -}}
{{- end }}

{{- /* What of the public listener the internet needs, and nothing else: health and metrics are not among it. */ -}}
{{- define "signet.publicPaths" -}}
- {path: /oauth2/auth, type: Exact}
- {path: /oauth2/token, type: Exact}
- {path: /oauth2/revoke, type: Exact}
- {path: /oauth2/sessions/logout, type: Exact}
- {path: /userinfo, type: Exact}
- {path: /oauth2/device, type: Prefix}
- {path: /oauth2/register, type: Prefix}
- {path: /oauth2/fallbacks, type: Prefix}
- {path: /.well-known, type: Prefix}
{{- end }}

{{- /* A list of values whose texts may hold templates. Takes root and list. */ -}}
{{- define "signet.list" -}}
{{- with .list }}{{ tpl (toYaml .) $.root }}{{ end -}}
{{- end }}
