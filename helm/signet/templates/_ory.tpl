{{- /*
Values of Ory's Hydra chart, laid over the chart's own. Every template calls signet.init first; only the first call acts.
The table in README.md, "Coming from Ory's chart", says the same in words.
*/ -}}

{{- define "signet.init" -}}
{{- if not (hasKey .Values "initialised") -}}
{{- $_ := set .Values "initialised" true -}}
{{- include "signet.ory.refused" . -}}
{{- include "signet.ory.hydra" . -}}
{{- include "signet.ory.deployment" . -}}
{{- include "signet.ory.jobs" . -}}
{{- include "signet.integers" .Values.config -}}
{{- include "signet.checks" . -}}
{{- end -}}
{{- end }}

{{- /* Keys that would do nothing here although somebody relies on them. */ -}}
{{- define "signet.ory.refused" -}}
{{- $advice := dict
  "hydra.customArgs" "the arguments are the chart's own; put settings into config"
  "hydra.customMigrations.jobs" "run other commands from extraObjects"
  "hydra.automigration.customArgs" "the arguments are the chart's own; see migrations"
  "hydra.automigration.customCommand" "the command is the chart's own; see migrations"
  "deployment.lifecycle" "see shutdown"
  "deployment.customLivenessProbe" "see probes.liveness"
  "deployment.customReadinessProbe" "see probes.readiness"
  "deployment.customStartupProbe" "see probes.startup"
  "job.lifecycle" "Jobs need none"
  "job.extraContainers" "use initContainers with restartPolicy: Always, which every pod gets and Jobs end with"
  "job.extraInitContainers" "use initContainers, which every pod gets"
  "cronjob.janitor.customArgs" "the arguments are the chart's own; see janitor"
  "cronjob.janitor.customCommand" "the command is the chart's own; see janitor"
  "cronjob.janitor.extraContainers" "use initContainers with restartPolicy: Always"
  "cronjob.janitor.extraInitContainers" "use initContainers, which every pod gets"
-}}
{{- range $path, $fix := $advice -}}
{{- $at := $.Values -}}
{{- range splitList "." $path }}{{ $at = get ($at | default dict) . }}{{ end -}}
{{- if $at }}{{ fail (printf "%s is of Ory's chart and has no counterpart here: %s" $path $fix) }}{{ end -}}
{{- end -}}
{{- with (.Values.hydra | default dict).command -}}
{{- if ne (toJson .) "[\"hydra\"]" }}{{ fail "hydra.command is of Ory's chart and has no counterpart here: the image holds one program" }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "signet.ory.hydra" -}}
{{- $v := .Values -}}
{{- with $v.hydra -}}
{{- $_ := mergeOverwrite $v.config (deepCopy (.config | default dict)) -}}
{{- if .dev }}{{ $_ := set $v.config "dev" true }}{{ end -}}
{{- with .automigration -}}
{{- if eq (toString .enabled) "false" }}{{ $_ := set $v.migrations "mode" "manual" }}{{ end -}}
{{- if and .enabled .type }}{{ $_ := set $v.migrations "mode" .type }}{{ end -}}
{{- if .resources }}{{ $_ := set $v.migrations "resources" .resources }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $secret := $v.secret | default dict -}}
{{- if eq (toString $secret.enabled) "false" -}}
{{- /* There the Secret wins, and hydra.config needs a DSN all the same. */ -}}
{{- $_ := set $v.secrets "existingSecret" ($secret.nameOverride | default (include "signet.fullname" .)) -}}
{{- $_ := unset $v.config "dsn" -}}
{{- $_ := unset $v.config "secrets" -}}
{{- else if and $v.hydra (not $v.secrets.existingSecret) (not ($v.config.secrets | default dict).system) -}}
{{- $_ := set $v.secrets "generate" true -}}
{{- end -}}
{{- end }}

{{- define "signet.ory.deployment" -}}
{{- $v := .Values -}}
{{- $theirs := $v.deployment | default dict -}}
{{- $moved := dict "labels" "deploymentLabels" "annotations" "deploymentAnnotations" -}}
{{- range list "resources" "nodeSelector" "tolerations" "topologySpreadConstraints" "dnsConfig" "extraEnv" "extraVolumes"
  "extraVolumeMounts" "revisionHistoryLimit" }}{{ $_ := set $moved . . }}{{ end -}}
{{- range $from, $to := $moved -}}
{{- if hasKey $theirs $from }}{{ $_ := set $v $to (get $theirs $from) }}{{ end -}}
{{- end -}}
{{- range $name := list "autoscaling" "serviceAccount" "podSecurityContext" "securityContext" "strategy" -}}
{{- with get $theirs $name }}{{ $_ := mergeOverwrite (get $v $name) (deepCopy .) }}{{ end -}}
{{- end -}}
{{- range $from, $to := dict "startupProbe" "startup" "readinessProbe" "readiness" "livenessProbe" "liveness" -}}
{{- with get $theirs $from }}{{ $_ := mergeOverwrite (get $v.probes $to) (deepCopy .) }}{{ end -}}
{{- end -}}
{{- range $from, $to := dict "extraInitContainers" "initContainers" "extraContainers" "sidecars" -}}
{{- with get $theirs $from }}{{ $_ := set $v $to (tpl . $ | fromYamlArray) }}{{ end -}}
{{- end -}}
{{- with $theirs.podMetadata -}}
{{- $_ := mergeOverwrite $v.podLabels (.labels | default dict) -}}
{{- $_ := mergeOverwrite $v.podAnnotations (.annotations | default dict) -}}
{{- end -}}
{{- with $theirs.terminationGracePeriodSeconds }}{{ $_ := set $v.shutdown "gracePeriodSeconds" . }}{{ end -}}
{{- with ($theirs.automigration | default dict).extraEnv }}{{ $_ := set $v.migrations "extraEnv" . }}{{ end -}}
{{- end }}

{{- define "signet.ory.jobs" -}}
{{- $v := .Values -}}
{{- with $v.job -}}
{{- with .annotations }}{{ $_ := set $v.migrations "annotations" . }}{{ end -}}
{{- with .extraEnv }}{{ $_ := set $v.migrations "extraEnv" . }}{{ end -}}
{{- if hasKey (.spec | default dict) "backoffLimit" }}{{ $_ := set $v.migrations "backoffLimit" .spec.backoffLimit }}{{ end -}}
{{- end -}}
{{- with (($v.cronjob | default dict).janitor | default dict).schedule }}{{ $_ := set $v.janitor "schedule" . }}{{ end -}}
{{- end }}

{{- /* Helm reads every number as a float, and would write a million as 1e+06, which is no integer to Signet. */ -}}
{{- define "signet.integers" -}}
{{- range $name, $value := . -}}
{{- if kindIs "map" $value -}}
{{- include "signet.integers" $value -}}
{{- else if kindIs "slice" $value -}}
{{- range $value }}{{ if kindIs "map" . }}{{ include "signet.integers" . }}{{ end }}{{ end -}}
{{- else if kindIs "float64" $value -}}
{{- if eq $value (floor $value) }}{{ $_ := set $ $name (int64 $value) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}
