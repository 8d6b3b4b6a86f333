{{- /* What the schema cannot see: faults that lie between several values. Each says what to do. */ -}}

{{- define "signet.checks" -}}
{{- $v := .Values -}}
{{- $own := include "signet.valuesSecret" . | fromYaml -}}
{{- $from := include "signet.secretSources" . | fromJson -}}
{{- $env := list -}}
{{- range $v.extraEnv }}{{ $env = append $env .name }}{{ end -}}
{{- if not (or ((($v.config.urls | default dict).self | default dict).issuer) (has "URLS_SELF_ISSUER" $env) $v.config.dev) -}}
{{- fail "config.urls.self.issuer is not set: write the issuer's URL, such as https://auth.example.com/" -}}
{{- end -}}
{{- if and $v.secrets.existingSecret $v.secrets.keys.dsn $own.dsn -}}
{{- fail "config.dsn and secrets.existingSecret are both set: take config.dsn out, or set secrets.keys.dsn to \"\"" -}}
{{- end -}}
{{- if and $v.secrets.existingSecret $own.secretsSystem -}}
{{- fail "config.secrets.system and secrets.existingSecret are both set: keep one of them" -}}
{{- end -}}
{{- if not (or $from.system (has "SECRETS_SYSTEM" $env) (has "SECRETS_SYSTEM_FILE" $env) $v.extraEnvFrom) -}}
{{- fail "no system secret: set secrets.existingSecret, or secrets.generate=true to have one made at the install" -}}
{{- end -}}
{{- if not (or $from.dsn $v.sqlite.enabled (has "DSN" $env) (has "DSN_FILE" $env) $v.extraEnvFrom) -}}
{{- fail "no database: set config.dsn, secrets.dsnFrom.name, secrets.existingSecret with a key dsn, or sqlite.enabled=true" -}}
{{- end -}}
{{- if and $v.sqlite.enabled (or $own.dsn $v.secrets.dsnFrom.name) -}}
{{- fail "sqlite.enabled and a DSN are both set: the chart makes the DSN of its SQLite file itself" -}}
{{- end -}}
{{- if hasPrefix "sqlite:" ($v.config.dsn | default "") -}}
{{- fail "config.dsn names a SQLite file: set sqlite.enabled=true instead, which brings the volume and keeps it to one replica" -}}
{{- end -}}
{{- if and (eq ($v.config.dsn | default "") "memory") (include "signet.replicated" .) -}}
{{- fail "config.dsn=memory lives in one process: set replicaCount=1 and leave autoscaling off, or take PostgreSQL" -}}
{{- end -}}
{{- range $listener := list "public" "admin" "gateway" -}}
{{- if and (or (get $v.ingress $listener | default dict).enabled (get $v.httpRoute $listener).enabled) (not (get $v.service $listener).enabled) -}}
{{- fail (printf "service.%s.enabled is false, but an Ingress or HTTPRoute leads to it" $listener) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $v.migrations.mode "hook") (or $own.dsn $v.sqlite.enabled) -}}
{{- fail "migrations.mode=hook runs before the chart's own Secret is there: use secrets.existingSecret or secrets.dsnFrom, or mode=job" -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- fail (printf "autoscaling.minReplicas (%v) is above autoscaling.maxReplicas (%v)" $v.autoscaling.minReplicas $v.autoscaling.maxReplicas) -}}
{{- end -}}
{{- if and $v.autoscaling.enabled $v.autoscaling.keda.enabled $v.autoscaling.extraMetrics -}}
{{- fail "autoscaling.extraMetrics is for a HorizontalPodAutoscaler: with autoscaling.keda.enabled write triggers in autoscaling.keda.extraTriggers" -}}
{{- end -}}
{{- include "signet.checks.clients" . -}}
{{- include "signet.checks.configSecrets" (dict "at" "config" "of" $v.config) -}}
{{- end }}

{{- define "signet.checks.clients" -}}
{{- $v := .Values -}}
{{- $seen := dict -}}
{{- if and (include "signet.clients.enabled" .) (not $v.service.admin.enabled) -}}
{{- fail "service.admin.enabled is false, but the Job of clients calls it" -}}
{{- end -}}
{{- range $index, $client := $v.clients -}}
{{- if hasKey $seen $client.client_id -}}
{{- fail (printf "clients[%d] and clients[%v] have the same client_id %s" $index (get $seen $client.client_id) $client.client_id) -}}
{{- end -}}
{{- $_ := set $seen $client.client_id $index -}}
{{- if and $client.secretRef (not $v.service.public.enabled) -}}
{{- fail (printf "service.public.enabled is false, but the secret of clients[%d] is tried there" $index) -}}
{{- end -}}
{{- if and $client.secretRef (has $client.token_endpoint_auth_method (list "none" "private_key_jwt")) -}}
{{- fail (printf "clients[%d] has a secretRef, but token_endpoint_auth_method %s has no use for it" $index $client.token_endpoint_auth_method) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* Secrets that would end in the ConfigMap. */ -}}
{{- define "signet.checks.configSecrets" -}}
{{- range $name, $value := .of -}}
{{- $path := printf "%s.%s" $.at $name -}}
{{- if kindIs "map" $value -}}
{{- include "signet.checks.configSecrets" (dict "at" $path "of" $value) -}}
{{- else if and $value (regexMatch "^config\\.(.*\\.key\\.base64|hsm\\.pin|.*\\.authorization_header|.*_hook\\.auth\\.config\\.value|.*\\.pairwise\\.salt|secrets\\.pagination)$" $path) -}}
{{- $variable := trimPrefix "config." $path | upper | replace "." "_" -}}
{{- fail (printf "%s is a secret and would stand in a ConfigMap: give it as %s in extraEnv, from a Secret of yours" $path $variable) -}}
{{- end -}}
{{- end -}}
{{- end }}
