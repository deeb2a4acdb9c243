{{- define "overlay-webhook.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "overlay-webhook.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "overlay-webhook.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "overlay-webhook.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "overlay-webhook.selectorLabels" -}}
app.kubernetes.io/name: {{ include "overlay-webhook.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "overlay-webhook.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "overlay-webhook.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "overlay-webhook.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "overlay-webhook.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "overlay-webhook.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- /* The Secret that the certificate is mounted from; nothing is mounted in mode self. */ -}}
{{- define "overlay-webhook.certificateSecret" -}}
{{- if eq .Values.tls.mode "certManager" -}}
{{ include "overlay-webhook.fullname" . }}-tls
{{- else -}}
{{ required "tls.existingSecret.name is needed in mode existingSecret" .Values.tls.existingSecret.name }}
{{- end -}}
{{- end -}}

{{- define "overlay-webhook.caSecret" -}}
{{ include "overlay-webhook.fullname" . }}-ca
{{- end -}}
