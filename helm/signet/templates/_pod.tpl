{{- /*
The one pod of this chart: server, migration, clients, janitor and test differ in arguments and secrets, in nothing else.
signet.pod takes root, component and args; it renders metadata and spec. A server has ports and probes too.
*/ -}}

{{- define "signet.pod" -}}
{{- $v := .root.Values -}}
metadata:
  labels:
    {{- include "signet.selector" . | nindent 4 }}
    {{- with mergeOverwrite (deepCopy $v.global.podMetadata.labels) $v.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with mergeOverwrite (deepCopy $v.global.podMetadata.annotations) $v.podAnnotations (.annotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "signet.podSpec" . | nindent 2 }}
{{- end }}

{{- define "signet.podSpec" -}}
{{- $v := .root.Values -}}
{{- $server := eq .component "server" -}}
serviceAccountName: {{ .serviceAccount | default (include "signet.serviceAccount" .root) }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml $v.podSecurityContext | nindent 2 }}
{{- range $key := list "imagePullSecrets" "nodeSelector" "tolerations" "dnsConfig" "priorityClassName" }}
{{- with get $v $key }}
{{ toYaml (dict $key .) }}
{{- end }}
{{- end }}
{{- if $server }}
terminationGracePeriodSeconds: {{ include "signet.gracePeriod" .root }}
topologySpreadConstraints:
  {{- include "signet.spread" .root | trim | nindent 2 }}
{{- with $v.affinity }}
affinity:
  {{- tpl (toYaml .) $.root | nindent 2 }}
{{- end }}
{{- else }}
restartPolicy: Never
{{- end }}
{{- with include "signet.initContainers" . | trim }}
initContainers:
  {{- . | nindent 2 }}
{{- end }}
containers:
  - name: signet
    {{- include "signet.container" . | nindent 4 }}
    {{- if $server }}
    {{- include "signet.serverParts" .root | nindent 4 }}
    {{- with $v.sidecars }}
  {{- include "signet.list" (dict "root" $.root "list" .) | nindent 2 }}
    {{- end }}
    {{- end }}
{{- with include "signet.volumes" . | trim }}
volumes:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "signet.initContainers" -}}
{{- if and (eq .component "server") (eq (include "signet.migrations" .root) "initContainer") }}
- name: migrate
  {{- include "signet.container" (dict "root" .root "component" "migrate" "args" (list "migrate" "sql" "-e" "--yes")) | nindent 2 }}
{{- end }}
{{- with .root.Values.initContainers }}
{{ include "signet.list" (dict "root" $.root "list" .) }}
{{- end }}
{{- end }}

{{- define "signet.container" -}}
{{- $v := .root.Values -}}
image: {{ include "signet.image" .root }}
imagePullPolicy: {{ $v.image.pullPolicy }}
args:
  {{- toYaml .args | nindent 2 }}
securityContext:
  {{- toYaml $v.securityContext | nindent 2 }}
{{- with ternary ($v.migrations.resources | default $v.resources) $v.resources (eq .component "migrate") }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "signet.env" . | trim }}
env:
  {{- . | nindent 2 }}
{{- end }}
{{- with $v.extraEnvFrom }}
envFrom:
  {{- include "signet.list" (dict "root" $.root "list" .) | nindent 2 }}
{{- end }}
{{- with include "signet.mounts" . | trim }}
volumeMounts:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "signet.env" -}}
{{- $v := .root.Values -}}
{{- range $file, $of := include "signet.podSecrets" . | fromJson }}
- {name: {{ $of.env }}, value: {{ include "signet.secretsDir" $.root }}/{{ $file }}}
{{- end }}
{{- if and $v.sqlite.enabled (has .component (list "server" "migrate")) }}
- {name: DSN, value: "sqlite:///data/signet.sqlite"}
- {name: SQLITE_TMPDIR, value: /data}
{{- end }}
{{- with concat $v.extraEnv (ternary $v.migrations.extraEnv list (eq .component "migrate")) }}
{{ include "signet.list" (dict "root" $.root "list" .) }}
{{- end }}
{{- end }}

{{- define "signet.mounts" -}}
{{- $v := .root.Values -}}
{{- if eq .component "server" }}
- {name: config, mountPath: /etc/signet, readOnly: true}
{{- end }}
{{- if eq .component "clients" }}
- {name: clients, mountPath: {{ include "signet.clients.dir" .root }}, readOnly: true}
{{- end }}
{{- if ne "{}" (include "signet.podSecrets" .) }}
- {name: secrets, mountPath: {{ include "signet.secretsDir" .root }}, readOnly: true}
{{- end }}
{{- if and $v.sqlite.enabled (has .component (list "server" "migrate")) }}
- {name: data, mountPath: /data}
{{- end }}
{{- with $v.extraVolumeMounts }}
{{ include "signet.list" (dict "root" $.root "list" .) }}
{{- end }}
{{- end }}

{{- define "signet.volumes" -}}
{{- $v := .root.Values -}}
{{- if eq .component "server" }}
- name: config
  configMap: {name: {{ include "signet.fullname" .root }}}
{{- end }}
{{- if eq .component "clients" }}
- name: clients
  projected:
    defaultMode: 0440
    sources:
      - configMap: {name: {{ include "signet.clients.configMap" .root }}}
      {{- range $index, $client := $v.clients }}
      {{- with $client.secretRef }}
      - secret: {name: {{ .name }}, items: [{key: {{ .key | quote }}, path: secrets/{{ $index }}}]}
      {{- end }}
      {{- end }}
{{- end }}
{{- with include "signet.podSecrets" . | fromJson }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $file, $of := . }}
      - secret: {name: {{ $of.name }}, items: [{key: {{ $of.key }}, path: {{ $file }}}]}
      {{- end }}
{{- end }}
{{- if and $v.sqlite.enabled (eq .component "server") }}
- name: data
  persistentVolumeClaim: {claimName: {{ $v.sqlite.existingClaim | default (include "signet.fullname" .root) }}}
{{- end }}
{{- with $v.extraVolumes }}
{{ include "signet.list" (dict "root" $.root "list" .) }}
{{- end }}
{{- end }}

{{- /* Ports, probes and the wait before SIGTERM. */ -}}
{{- define "signet.serverParts" -}}
{{- $v := .Values -}}
{{- $health := include "signet.healthListener" . -}}
{{- $get := dict "port" $health "scheme" (include "signet.scheme" (dict "root" . "listener" $health)) -}}
ports:
  {{- range include "signet.listeners" . | splitList "," }}
  - {name: {{ . }}, containerPort: {{ include "signet.port" (dict "root" $ "listener" .) }}}
  {{- end }}
startupProbe:
  httpGet: {{ toJson (merge (dict "path" "/health/alive") $get) }}
  {{- toYaml $v.probes.startup | nindent 2 }}
readinessProbe:
  httpGet: {{ toJson (merge (dict "path" "/health/ready") $get) }}
  {{- toYaml $v.probes.readiness | nindent 2 }}
livenessProbe:
  httpGet: {{ toJson (merge (dict "path" "/health/alive") $get) }}
  {{- toYaml $v.probes.liveness | nindent 2 }}
{{- if gt (int $v.shutdown.preStopSleep) 0 }}
lifecycle:
  preStop:
    sleep: {seconds: {{ $v.shutdown.preStopSleep }}}
{{- end }}
{{- end }}

{{- define "signet.gracePeriod" -}}
{{- $s := .Values.shutdown -}}
{{- max (add (int $s.preStopSleep) (int $s.drainDelay) (int $s.timeout) 5) (int $s.gracePeriodSeconds) -}}
{{- end }}

{{- define "signet.spread" -}}
{{- $selector := include "signet.selector" (dict "root" . "component" "server") | fromYaml | toJson -}}
{{- if .Values.topologySpreadConstraints -}}
{{ include "signet.list" (dict "root" . "list" .Values.topologySpreadConstraints) }}
{{- else -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector: {matchLabels: {{ $selector }}}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}
{{- end }}
