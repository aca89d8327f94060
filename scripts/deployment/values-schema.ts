/**
 * The schema of the chart's values: the configuration's own, and of all else the types of the defaults in values.yaml. A
 * value that is in neither is refused, so that a slip of the pen is no silent default.
 */
import { load } from 'js-yaml';
import { configurationSchema, type JsonSchema } from '../../src/config/schema.ts';

type Properties = Readonly<Record<string, JsonSchema>>;

const text: JsonSchema = { type: 'string' };
const anyObject: JsonSchema = { type: 'object' };
const objects: JsonSchema = { type: 'array', items: anyObject };
const labels: JsonSchema = { type: 'object', additionalProperties: text };
const dnsName: JsonSchema = { type: 'string', pattern: '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$' };
const duration: JsonSchema = { type: 'string', pattern: '^([0-9]+([.][0-9]+)?(ms|s|m|h))+$' };
const pullPolicy: JsonSchema = { type: 'string', enum: ['Always', 'IfNotPresent', 'Never'] };
const cidrs: JsonSchema = { type: 'array', items: { type: 'string', pattern: '^[0-9a-fA-F.:]+/[0-9]{1,3}$' } };
const amount: JsonSchema = { type: ['integer', 'string'] };

/** Where the default does not say what is allowed. */
const KNOWN: Properties = {
  'image.pullPolicy': pullPolicy,
  imagePullSecrets: objects,
  replicas: { type: 'integer', minimum: 1, maximum: 5 },
  resources: anyObject,
  nodeSelector: labels,
  tolerations: objects,
  affinity: anyObject,
  podAnnotations: labels,
  podLabels: labels,
  topologySpreadConstraints: objects,
  'service.annotations': labels,
  'tls.secretName': dnsName,
  'certManager.issuerRef': anyObject,
  'certManager.duration': duration,
  'certManager.renewBefore': duration,
  'podDisruptionBudget.minAvailable': amount,
  'admissionWebhook.caBundle': { type: 'string', pattern: '^[A-Za-z0-9+/=]*$' },
  'networkPolicy.controlPlaneCIDRs': cidrs,
  'networkPolicy.apiServerCIDRs': cidrs,
  'networkPolicy.apiServerPort': { type: 'integer', minimum: 1, maximum: 65_535 },
  'metrics.readers': {
    type: 'array',
    items: {
      type: 'object',
      required: ['name', 'namespace'],
      additionalProperties: false,
      properties: { name: dnsName, namespace: dnsName },
    },
  },
  'metrics.serviceMonitor.interval': duration,
  'metrics.serviceMonitor.labels': labels,
  'metrics.podMonitor.interval': duration,
  'metrics.podMonitor.labels': labels,
  'metrics.prometheusRule.labels': labels,
  'metrics.dashboard.labels': labels,
  'extender.managedResources': {
    type: 'array',
    items: { type: 'string', pattern: '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$' },
  },
  'scheduler.name': dnsName,
  'scheduler.image.pullPolicy': pullPolicy,
  'scheduler.replicas': { type: 'integer', minimum: 1, maximum: 5 },
  'scheduler.secretName': dnsName,
  'scheduler.resources': anyObject,
  'scheduler.nodeSelector': labels,
  'scheduler.tolerations': objects,
  'scheduler.affinity': anyObject,
  'scheduler.podDisruptionBudget.maxUnavailable': amount,
  'scheduler.nodes.key': {
    type: 'string',
    pattern: '^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$',
  },
  extraObjects: { type: 'array', items: { type: ['object', 'string'] } },
};

/** @param values the text of values.yaml. */
export function valuesSchema(values: string): object {
  const schema = schemaOf(load(values), '');
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the chart muster',
    ...schema,
    // Helm itself adds it where the chart is part of another one.
    properties: { ...schema.properties, global: anyObject },
  };
}

function schemaOf(value: unknown, path: string): JsonSchema {
  if (path === 'config') return chartConfiguration();
  const known = KNOWN[path];
  if (known !== undefined) return { ...known, default: value };
  if (typeof value === 'boolean') return { type: 'boolean', default: value };
  if (typeof value === 'string') return { type: 'string', default: value };
  if (typeof value !== 'object' || value === null || Array.isArray(value) || Object.keys(value).length === 0) {
    throw new Error(`expected a type for ${path} in scripts/deployment/values-schema.ts, found none`);
  }
  const properties = Object.entries(value).map(
    ([name, child]) => [name, schemaOf(child, path === '' ? name : `${path}.${name}`)] as const,
  );
  return {
    type: 'object',
    // `null` takes a default away, and the templates need each.
    required: properties.map(([name]) => name),
    additionalProperties: false,
    properties: Object.fromEntries(properties),
  };
}

/** MusterConfiguration without what the chart itself sets. */
function chartConfiguration(): JsonSchema {
  const { required: _, properties = {}, ...schema } = configurationSchema();
  const { apiVersion: __, kind: ___, server = {}, api = {}, ...others } = properties;
  return {
    ...schema,
    properties: {
      server: without(server, ['bindAddress', 'port', 'inspectPort', 'webhookPort', 'tls']),
      api: without(api, ['kubeconfig']),
      ...others,
    },
  };
}

function without(schema: JsonSchema, names: readonly string[]): JsonSchema {
  const properties = Object.entries(schema.properties ?? {}).filter(([name]) => !names.includes(name));
  return { ...schema, properties: Object.fromEntries(properties) };
}
