{{- define "alert-threader.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "alert-threader.fullname" -}}
{{- $name := include "alert-threader.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "alert-threader.selectorLabels" -}}
app.kubernetes.io/name: {{ include "alert-threader.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "alert-threader.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "alert-threader.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "alert-threader.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "alert-threader.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the two tokens. */}}
{{- define "alert-threader.secretName" -}}
{{- .Values.secrets.existingSecret | default (include "alert-threader.fullname" .) -}}
{{- end -}}

{{/* The Secret with the URL of Redis; empty where the Sentinels say where it is. */}}
{{- define "alert-threader.redisSecretName" -}}
{{- if eq .Values.store.type "redis" -}}
{{- with .Values.store.redis.existingSecret -}}
{{- . -}}
{{- else -}}
{{- if .Values.store.redis.url -}}{{- include "alert-threader.fullname" . -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A setting as text. Numbers arrive as floats, which would be written as 1.6e+07. */}}
{{- define "alert-threader.text" -}}
{{- if kindIs "string" . -}}{{- . -}}{{- else -}}{{- . | toJson -}}{{- end -}}
{{- end -}}

{{/* How long a pod may take to stop, in seconds: GRACEFUL_TIMEOUT, rounded up, and 15 more. */}}
{{- define "alert-threader.gracePeriod" -}}
{{- $milliseconds := 0 -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" (.Values.settings.GRACEFUL_TIMEOUT | default "30s" | toString) -1 -}}
{{- $milliseconds = add $milliseconds (mul (regexFind "[0-9]+" . | atoi) (get $units (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- add 15 (div (add $milliseconds 999) 1000) -}}
{{- end -}}
