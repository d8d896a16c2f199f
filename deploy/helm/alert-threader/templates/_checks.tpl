{{/* What values.schema.json cannot say, or could not say clearly. */}}
{{- define "alert-threader.check" -}}
{{- $settings := .Values.settings -}}
{{- $isFile := eq .Values.store.type "file" -}}
{{- if not $settings.SLACK_CHANNEL -}}
{{- fail "settings.SLACK_CHANNEL: is not set: the ID of the channel that alerts go to, such as C0123456789" -}}
{{- end -}}
{{- if not (regexMatch "^[CGD][A-Z0-9]{6,30}$" $settings.SLACK_CHANNEL) -}}
{{- fail (printf "settings.SLACK_CHANNEL: %s is not allowed: must be a channel ID such as C0123456789" ($settings.SLACK_CHANNEL | squote)) -}}
{{- end -}}
{{- if and $isFile (gt (int .Values.replicas) 1) -}}
{{- fail "replicas: must be 1 with store.type=file: one process owns the file; use store.type=redis for more" -}}
{{- end -}}
{{- if and $isFile (gt (int $settings.WEB_CONCURRENCY) 1) -}}
{{- fail "settings.WEB_CONCURRENCY: must be 1 with store.type=file: one process owns the file; use store.type=redis for more" -}}
{{- end -}}
{{- if .Values.secrets.existingSecret -}}
{{- if or .Values.secrets.slackBotToken .Values.secrets.webhookToken -}}
{{- fail "secrets: existingSecret holds both tokens: leave slackBotToken and webhookToken empty" -}}
{{- end -}}
{{- with .Values.secrets -}}
{{- if or .slackAppToken .slackSigningSecret .alertmanagerToken .alertmanagerPassword -}}
{{- fail "secrets: existingSecret holds all secrets: leave the others empty" -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- if not .Values.secrets.slackBotToken -}}
{{- fail "secrets.slackBotToken: is not set: name a Secret that holds it in secrets.existingSecret, or set it" -}}
{{- end -}}
{{- if not (regexMatch "^xoxb-[A-Za-z0-9_-]+$" .Values.secrets.slackBotToken) -}}
{{- fail "secrets.slackBotToken: must be the Slack app's \"Bot User OAuth Token\" (xoxb-…)" -}}
{{- end -}}
{{- if not .Values.secrets.webhookToken -}}
{{- fail "secrets.webhookToken: is not set: without it whoever reaches the pod could post to Slack" -}}
{{- end -}}
{{- if not (regexMatch "^[!-~]+$" .Values.secrets.webhookToken) -}}
{{- fail "secrets.webhookToken: must be printable ASCII without spaces, to travel in a header" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.secrets.slackAppToken .Values.secrets.slackSigningSecret -}}
{{- fail "secrets: presses come one way: leave slackAppToken (Socket Mode) or slackSigningSecret (HTTP) empty" -}}
{{- end -}}
{{- with .Values.store.redis -}}
{{- if not (regexMatch "^(rediss?://[^ ]+)?$" .url) -}}
{{- fail "store.redis.url: must be a URL: redis://host:port/db, or rediss://host:port/db (TLS)" -}}
{{- end -}}
{{- if and .existingSecret .url -}}
{{- fail "store.redis: existingSecret holds the URL: leave url empty" -}}
{{- end -}}
{{- if not (or $isFile .existingSecret .url $settings.REDIS_SENTINELS) -}}
{{- fail "store.redis: where is Redis? Name a Secret that holds its URL in existingSecret, or set url" -}}
{{- end -}}
{{- if and $isFile (or .existingSecret .url $settings.REDIS_SENTINELS) -}}
{{- fail "store.redis: is not used with store.type=file: set store.type=redis" -}}
{{- end -}}
{{- end -}}
{{- if and (not $isFile) .Values.store.persistence.existingClaim -}}
{{- fail "store.persistence.existingClaim: is not used with store.type=redis: set store.type=file" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.host: is not set: the name under which senders reach the service" -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasKey $settings .name -}}
{{- fail (printf "extraEnv: %s is set twice, here and under settings: remove it here" .name) -}}
{{- end -}}
{{- if has .name (list "SLACK_BOT_TOKEN" "WEBHOOK_TOKEN" "REDIS_URL" "SLACK_APP_TOKEN" "SLACK_SIGNING_SECRET" "ALERTMANAGER_TOKEN" "ALERTMANAGER_PASSWORD") -}}
{{- fail (printf "extraEnv: %s is a secret, which would show in the pod: use secrets and store.redis" .name) -}}
{{- end -}}
{{- if has .name (list "SLACK_BOT_TOKEN_FILE" "WEBHOOK_TOKEN_FILE" "REDIS_URL_FILE" "CREDENTIALS_DIRECTORY" "THREAD_STORE" "THREAD_STORE_FILE") -}}
{{- fail (printf "extraEnv: the chart sets %s: use secrets and store" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
