{{/* Labels of every object. Selectors have `app.kubernetes.io/name` alone. */}}
{{- define "muster.labels" -}}
app.kubernetes.io/name: muster
{{ include "muster.releaseLabels" . }}
{{- end }}

{{- define "muster.schedulerLabels" -}}
app.kubernetes.io/name: muster-scheduler
{{ include "muster.releaseLabels" . }}
{{- end }}

{{- define "muster.releaseLabels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The name in Muster's certificate, and its address inside the cluster. */}}
{{- define "muster.host" -}}
muster.{{ .Release.Namespace }}.svc
{{- end }}

{{/* MusterConfiguration: what the chart sets, then what the user sets. */}}
{{- define "muster.configuration" -}}
{{- $tls := dict "certFile" "/etc/muster/tls/tls.crt" "keyFile" "/etc/muster/tls/tls.key" "clientCaFile" "/etc/muster/tls/ca.crt" }}
{{- $callers := dict "decisions" (list "system:kube-scheduler") }}
{{- $server := dict "bindAddress" "0.0.0.0" "port" 8443 "inspectPort" 8444 "tls" $tls "callers" $callers }}
{{- if .Values.admissionWebhook.enabled }}
{{- $_ := set $server "webhookPort" 9443 }}
{{- end }}
{{- $config := dict "apiVersion" "config.muster.dev/v1alpha1" "kind" "MusterConfiguration" "server" $server }}
{{- $election := dict }}
{{- if gt (int .Values.replicas) 1 }}
{{- $_ := set $election "enabled" true }}
{{- end }}
{{- if ne .Release.Namespace "muster-system" }}
{{- $_ := set $election "namespace" .Release.Namespace }}
{{- $_ := set $config "gang" (dict "gatesParameter" (printf "%s/muster-gates" .Release.Namespace)) }}
{{- end }}
{{- if $election }}
{{- $_ := set $config "leaderElection" $election }}
{{- end }}
{{- if .Values.scheduler.enabled }}
{{- $_ := set $config "schedulerNames" (list .Values.scheduler.name) }}
{{- end }}
{{- $config = mergeOverwrite $config (deepCopy .Values.config) }}
{{- if gt (int .Values.replicas) 1 }}
{{- if not $config.leaderElection.enabled }}
{{- fail "config.leaderElection.enabled: expected true with more than one replica, found false; each would plan with space that the other has promised: enable it, or set replicas to 1" }}
{{- end }}
{{- end }}
{{- if .Values.scheduler.enabled }}
{{- if not (has .Values.scheduler.name $config.schedulerNames) }}
{{- fail (printf "config.schedulerNames: expected %s (scheduler.name) in the list, found %s; without it Muster leaves the pods of the second scheduler alone" .Values.scheduler.name ($config.schedulerNames | join ", ")) }}
{{- end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* The schedulers that have Muster as their extender, as a list in CEL. */}}
{{- define "muster.schedulerNamesCel" -}}
{{- $config := include "muster.configuration" . | fromYaml }}
{{- $names := list }}
{{- range (get $config "schedulerNames" | default (list "default-scheduler")) }}
{{- $names = append $names (squote .) }}
{{- end -}}
[{{ $names | join ", " }}]
{{- end }}

{{/*
Whether a resource `name` brings a pod to Muster's barrier, in CEL: that of the extender entry which binds. It is
managedResources of the configuration, or bindResources where that is another entry.
*/}}
{{- define "muster.isManagedCel" -}}
{{- $patterns := list "nvidia.com/gpu" "amd.com/gpu" "nvidia.com/mig-*" }}
{{- if hasKey .Values.config "managedResources" }}{{ $patterns = .Values.config.managedResources }}{{ end }}
{{- if hasKey .Values.config "bindResources" }}{{ $patterns = .Values.config.bindResources }}{{ end }}
{{- $names := list }}
{{- $prefixes := list }}
{{- range $patterns }}
{{- if hasSuffix "*" . }}
{{- $prefixes = append $prefixes (printf " || name.startsWith('%s')" (trimSuffix "*" .)) }}
{{- else if ne . "muster.dev/member" }}
{{- $names = append $names (squote .) }}
{{- end }}
{{- end }}
{{- $names = append $names "'muster.dev/member'" -}}
name in [{{ $names | join ", " }}]{{ $prefixes | join "" }}
{{- end }}

{{/* Whether the API server has mutating admission policies. Asked by version, so that a template needs no cluster. */}}
{{- define "muster.hasMutatingPolicies" -}}
{{- if semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version }}true{{ end }}
{{- end }}

{{/*
A kube-scheduler configuration of deploy/scheduler, with the names of this release. Arguments: file, root, address.
*/}}
{{- define "muster.schedulerConfiguration" -}}
{{- $config := .root.Files.Get (printf "files/scheduler/%s" .file) | fromYaml }}
{{- $managed := .root.Values.extender.managedResources }}
{{- range $entry := $config.extenders }}
{{- $_ := set $entry "urlPrefix" (printf "https://%s:8443/scheduler" $.address) }}
{{- $_ := set $entry.tlsConfig "serverName" (include "muster.host" $.root) }}
{{- if and $managed (hasKey $entry "filterVerb") }}
{{- $resources := list }}
{{- range $managed }}{{ $resources = append $resources (dict "name" .) }}{{ end }}
{{- range $entry.managedResources }}{{ if .ignoredByScheduler }}{{ $resources = append $resources . }}{{ end }}{{ end }}
{{- $_ := set $entry "managedResources" $resources }}
{{- end }}
{{- end }}
{{- with .profile }}
{{- $_ := unset $config.clientConnection "kubeconfig" }}
{{- $_ := set $config "leaderElection" (dict "leaderElect" true "resourceName" .name "resourceNamespace" $.root.Release.Namespace) }}
{{- $_ := set $config "profiles" (list (dict "schedulerName" .name)) }}
{{- range $entry := $config.extenders }}
{{- $_ := set $entry.tlsConfig "caFile" "/etc/muster-scheduler/tls/ca.crt" }}
{{- $_ := set $entry.tlsConfig "certFile" "/etc/muster-scheduler/tls/tls.crt" }}
{{- $_ := set $entry.tlsConfig "keyFile" "/etc/muster-scheduler/tls/tls.key" }}
{{- end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* How Prometheus gets in. */}}
{{- define "muster.scrapeAccess" -}}
authorization:
  credentials: { name: muster-metrics, key: token }
tlsConfig:
  serverName: {{ include "muster.host" . }}
  ca:
    secret: { name: {{ .Values.tls.secretName }}, key: ca.crt }
{{- end }}
