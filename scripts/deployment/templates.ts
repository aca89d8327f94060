/** Makes a template of the chart out of manifests: what a release may choose is put in, everything else stays as it is. */

export interface TemplateSource {
  readonly header: string;
  readonly texts: readonly string[];
  /** When the objects are there, in the language of templates. */
  readonly condition: string;
  /** The template with the labels of the objects. */
  readonly labels?: string;
  /** Whether Helm may be told to leave the objects behind. */
  readonly keep?: boolean;
  /** Whether cert-manager writes its CA into the objects that have a place for it. */
  readonly injectCa?: boolean;
}

/** What manifests say, and what says it in a template. The first one that matches counts. */
const SUBSTITUTIONS: readonly (readonly [RegExp, string])[] = [
  [
    /image: muster:\S+/g,
    'image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}',
  ],
  [/^imagePullSecrets: \[\]$/gm, 'imagePullSecrets: {{ toJson .Values.imagePullSecrets }}'],
  // A Job cannot be changed, so each revision has one.
  [/name: muster-certs-1$/gm, 'name: muster-certs-{{ .Release.Revision }}'],
  [/schedule: "17 3 \* \* \*"/g, 'schedule: {{ .Values.certificates.job.schedule | quote }}'],
  [/muster-system/g, '{{ .Release.Namespace }}'],
  [/\['default-scheduler'\]/g, '{{ include "muster.schedulerNamesCel" . }}'],
  [
    /name in \['nvidia\.com\/gpu', 'amd\.com\/gpu', 'muster\.dev\/member'\] \|\| name\.startsWith\('nvidia\.com\/mig-'\)/g,
    '{{ include "muster.isManagedCel" . }}',
  ],
  [/'muster-scheduler'/g, "'{{ .Values.scheduler.name }}'"],
  [
    /^ {4}# caBundle: .*$/gm,
    '    {{- with .Values.admissionWebhook.caBundle }}\n    caBundle: {{ . }}\n    {{- end }}',
  ],
  [/'muster\.dev\/scheduler'/g, "'{{ .Values.scheduler.nodes.key }}'"],
];

const KEEP = [
  '  {{- if .Values.crds.keep }}\n',
  '  annotations:\n',
  '    helm.sh/resource-policy: keep\n',
  '  {{- end }}\n',
];

const INJECT_CA = [
  '  {{- if .Values.certManager.enabled }}\n',
  '  annotations:\n',
  '    cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/muster\n',
  '  {{- end }}\n',
];

/** @throws Error when a manifest contains what a template would take for its own, or metadata of another form. */
export function templateOf({
  header,
  texts,
  condition,
  labels = 'muster.labels',
  keep = false,
  injectCa = false,
}: TemplateSource): string {
  const annotationsOf = (document: string) => [
    ...(keep ? KEEP : []),
    ...(injectCa && document.includes('# caBundle: ') ? INJECT_CA : []),
  ];
  const documents = texts
    .flatMap((text) => text.split(/^---\n/m))
    .filter((document) => !/^kind: Namespace$/m.test(document))
    .map((document) => (/^kind:/m.test(document) ? withMetadata(document, labels, annotationsOf(document)) : document));
  const body = join(documents);
  if (!body.includes('{{-')) throw new Error('expected at least one object, found none');
  const lines = [header, body.trimEnd()];
  if (condition !== 'true') return [`{{- if ${condition} }}`, ...lines, '{{- end }}', ''].join('\n');
  return [...lines, ''].join('\n');
}

/** Comments before the first object belong to no document of their own. */
function join(documents: readonly string[]): string {
  const [first = '', ...rest] = documents;
  return /^kind:/m.test(first) ? documents.join('---\n') : first + rest.join('---\n');
}

function withMetadata(document: string, labels: string, annotations: readonly string[]): string {
  if (document.includes('{{')) throw new Error('expected no {{ in a manifest, since a template would read it');
  let text = document;
  for (const [pattern, replacement] of SUBSTITUTIONS) text = text.replace(pattern, () => replacement);
  const metadata = /^metadata:\n {2}name: .*\n(?: {2}namespace: .*\n)?(?<own> {2}labels:\n)?/m;
  const own = metadata.exec(text)?.groups?.own;
  if (!metadata.test(text) || (own === undefined && /^ {2}labels:/m.test(text))) {
    throw new Error(
      `expected metadata of a name, perhaps a namespace, and labels in lines of their own, found:\n${document.slice(0, 300)}`,
    );
  }
  const include = `    {{- include "${labels}" . | nindent 4 }}\n`;
  // Labels that the manifest has come after those of the release.
  if (own !== undefined) return text.replace(metadata, (found) => found + include);
  const added = ['  labels:\n', include, ...annotations].join('');
  return text.replace(metadata, (found) => found + added);
}
