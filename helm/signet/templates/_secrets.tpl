{{- /* Where each secret is. Pods get them as files of one projected volume, so that a change arrives without a restart. */ -}}

{{- define "signet.secretsDir" }}/run/secrets/signet{{ end }}

{{- /* The secrets written in the values, as they go into the Secret of the release. */ -}}
{{- define "signet.valuesSecret" -}}
{{- $config := .Values.config -}}
{{- $secrets := $config.secrets | default dict -}}
{{- with $config.dsn }}
dsn: {{ tpl . $ | b64enc }}
{{- end }}
{{- with ($config.redis | default dict).url }}
redisUrl: {{ tpl . $ | b64enc }}
{{- end }}
{{- with $secrets.system }}
secretsSystem: {{ include "signet.lines" . | b64enc }}
{{- end }}
{{- with $secrets.cookie }}
secretsCookie: {{ include "signet.lines" . | b64enc }}
{{- end }}
{{- end }}

{{- /* One secret per line; Hydra's configuration takes a text for a list of one. */ -}}
{{- define "signet.lines" -}}
{{- if kindIs "slice" . }}{{ join "\n" . }}{{ else }}{{ . }}{{ end -}}
{{- end }}

{{- define "signet.generatedName" }}{{ include "signet.fullname" . }}-generated{{ end }}

{{- /* {file: {name: of the Secret, key: in it, env: the variable that names the file}}, as JSON. */ -}}
{{- define "signet.secretSources" -}}
{{- $s := .Values.secrets -}}
{{- $own := include "signet.valuesSecret" . | fromYaml -}}
{{- $found := dict -}}
{{- range $file, $of := dict
  "system" (dict "env" "SECRETS_SYSTEM_FILE" "own" "secretsSystem" "key" $s.keys.system "from" dict)
  "cookie" (dict "env" "SECRETS_COOKIE_FILE" "own" "secretsCookie" "key" $s.keys.cookie "from" dict)
  "dsn" (dict "env" "DSN_FILE" "own" "dsn" "key" $s.keys.dsn "from" $s.dsnFrom)
  "redis-url" (dict "env" "REDIS_URL_FILE" "own" "redisUrl" "key" $s.keys.redisUrl "from" $s.redisUrlFrom) -}}
{{- $at := dict -}}
{{- if $of.from.name -}}
{{- $at = dict "name" $of.from.name "key" $of.from.key -}}
{{- else if hasKey $own $of.own -}}
{{- $at = dict "name" (include "signet.fullname" $) "key" $of.own -}}
{{- else if and $s.existingSecret $of.key -}}
{{- $at = dict "name" $s.existingSecret "key" $of.key -}}
{{- else if and $s.generate (has $file (list "system" "cookie")) -}}
{{- $at = dict "name" (include "signet.generatedName" $) "key" $of.own -}}
{{- end -}}
{{- if and $at (not (and $.Values.sqlite.enabled (eq $file "dsn"))) }}{{ $_ := set $found $file (set $at "env" $of.env) }}{{ end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* The same for one kind of pod: only the server gets more than the DSN, and a test gets nothing. */ -}}
{{- define "signet.podSecrets" -}}
{{- $all := include "signet.secretSources" .root | fromJson -}}
{{- $s := .root.Values.secrets -}}
{{- $found := dict -}}
{{- if eq .component "server" -}}
{{- $found = $all -}}
{{- else if has .component (list "migrate" "janitor") -}}
{{- with $all.dsn }}{{ $_ := set $found "dsn" . }}{{ end -}}
{{- if and (eq .component "migrate") $s.existingSecret $s.keys.migrateDsn -}}
{{- $_ := set $found "dsn" (dict "name" $s.existingSecret "key" $s.keys.migrateDsn "env" "DSN_FILE") -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}
