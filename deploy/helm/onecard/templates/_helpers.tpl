{{- define "onecard.labels" -}}
app.kubernetes.io/name: onecard
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{ include "onecard.selector" . }}
{{- end }}

{{- define "onecard.selector" -}}
app.kubernetes.io/component: {{ .component }}
onecard/release: {{ .root.Release.Name }}
{{- with .server }}
onecard/server: {{ . }}
{{- end }}
{{- end }}

{{- define "onecard.name" -}}
{{- printf "%s-%s" .root.Release.Name .name | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "onecard.image" -}}
{{- with .root.Values.image.registry }}{{ . }}/{{ end }}{{ .name }}:{{ .root.Values.image.tag }}
{{- end }}

{{- define "onecard.claim" -}}
{{- .root.Values.engines.existingClaim | default (printf "%s-engines" (include "onecard.name" .)) -}}
{{- end }}

{{- define "onecard.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "onecard.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Variables of logs and traces, for servers and the gateway. */}}
{{- define "onecard.telemetry" -}}
{{- with .Values.telemetry -}}
- {name: LOG_FORMAT, value: {{ .logFormat }}}
{{- with .otlpEndpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- range $variable, $value := .env }}
- {name: {{ $variable }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* Where a pod that sends traces may go, beside what it has to. */}}
{{- define "onecard.collectors" -}}
{{- if and .Values.telemetry.otlpEndpoint .Values.networkPolicy.collectors -}}
- to: {{- toYaml .Values.networkPolicy.collectors | nindent 4 }}
{{- end }}
{{- end }}

{{/* Nodes whose card engines of this plan run on: NVIDIA's GPU feature discovery labels them. */}}
{{- define "onecard.card" -}}
{{- with .card }}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchExpressions:
            - {key: nvidia.com/gpu.compute.major, operator: In, values: [{{ .major | quote }}]}
            - {key: nvidia.com/gpu.compute.minor, operator: In, values: [{{ .minor | quote }}]}
            - {key: nvidia.com/gpu.memory, operator: Gt, values: [{{ .aboveMiB | quote }}]}
tolerations:
  - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
{{- end }}
{{- end }}
