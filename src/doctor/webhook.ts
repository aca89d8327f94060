/** Judges the admission webhook: whether the API server may ask Muster, finds it, and knows its CA. */
import type { Finding } from './finding.ts';

export interface SeenWebhook {
  /** PEM; empty: it has none, and the API server trusts nobody there. */
  readonly caBundle: string;
  /** The CAs of Muster's certificate, PEM; undefined: they are not known. */
  readonly musterCa: string | undefined;
  /** Whether the Service has the port to which the API server connects. */
  readonly hasServicePort: boolean;
}

const ABOUT = 'mutatingwebhookconfiguration muster-gang-members';
const LOSS = 'members get neither gate nor marker';
const CERTS = 'muster certs --secrets';

/** @param port where Muster serves it, 0: nowhere; undefined: its configuration is not known. */
export function checkWebhook(
  { caBundle, musterCa, hasServicePort }: SeenWebhook,
  port: number | undefined,
): readonly Finding[] {
  const findings: Finding[] = [];
  const add = (kind: string, text: string, fix: string) =>
    findings.push({ kind, severity: 'warning', about: ABOUT, text: `${text}: ${LOSS}`, fix });
  const known = new Set(certificatesOf(caBundle));
  const unknown = certificatesOf(musterCa ?? '').filter((certificate) => !known.has(certificate));
  if (known.size === 0) {
    add('webhook-without-ca', "expected the CA of Muster's certificate in caBundle, found none", CERTS);
  } else if (unknown.length > 0) {
    // One of several is missing while the CA is changed, or soon after.
    add('webhook-other-ca', "expected each CA of Muster's certificate in caBundle, found others", CERTS);
  }
  if (port === 0) {
    const fix = 'set server.webhookPort: 9443, as deploy/kustomize/overlays/webhook and the chart do';
    add('webhook-without-port', 'expected server.webhookPort in the configuration of Muster, found none', fix);
  }
  if (!hasServicePort) {
    const fix = 'add the port webhook, 9443, as deploy/kustomize/overlays/webhook and the chart do';
    add('webhook-without-service', 'expected the Service to have the port of the webhook, found that it has not', fix);
  }
  return findings;
}

/** Each without line breaks, which whoever wrote it chose. */
function certificatesOf(pem: string): readonly string[] {
  const blocks = pem.matchAll(/-----BEGIN CERTIFICATE-----([\s\S]*?)-----END CERTIFICATE-----/g);
  return [...blocks].map(([, content = '']) => content.replace(/\s/g, ''));
}
