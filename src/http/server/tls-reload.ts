/** Follows the TLS files while the server runs: new ones are used, bad ones are not, and calls under way are not touched. */
import type { Logger } from '../../telemetry/log.ts';
import { isSameMaterial, readTlsMaterial, type TlsFiles, type TlsMaterial } from './tls.ts';

/** What became of the files. */
export type CertificateEvent =
  /** @param expiresAt when the certificate that is presented ends, in milliseconds since the epoch. */
  | { readonly kind: 'installed'; readonly expiresAt: number; readonly isFirst: boolean }
  /** The files do not fit together, or are not readable; the earlier ones stay in use. */
  | { readonly kind: 'refused' };

interface CertificateFollower {
  readonly files: TlsFiles;
  readonly initial: TlsMaterial;
  readonly intervalMs: number;
  readonly logger: Logger;
  readonly onEvent: (event: CertificateEvent) => void;
  /** Lets new connections use it. Those that are open keep theirs. */
  readonly install: (material: TlsMaterial) => void;
}

/**
 * Reads the files again and again and compares what they hold: kubelet swaps a symbolic link of the directory, which a
 * watch on the files would miss, and neither their time nor their inode says whether they fit together.
 * @returns what ends it.
 */
export function followCertificates(follower: CertificateFollower): () => void {
  const { files, initial, intervalMs, logger, onEvent, install } = follower;
  let current = initial;
  let lastFault = '';
  onEvent({ kind: 'installed', expiresAt: initial.expiresAt, isFirst: true });
  const check = async (): Promise<void> => {
    try {
      // Between two of its files the directory may be swapped. Who reads it once more has them all from after that.
      const next = await readTlsMaterial(files).catch(() => readTlsMaterial(files));
      lastFault = '';
      if (isSameMaterial(current, next)) return;
      install(next);
      current = next;
      onEvent({ kind: 'installed', expiresAt: next.expiresAt, isFirst: false });
      logger.info(0, 'TLS certificate reloaded', { certificateValidUntil: next.validUntil });
    } catch (error) {
      onEvent({ kind: 'refused' });
      const fault = error instanceof Error ? error.message : String(error);
      // Once, not at each look.
      if (fault !== lastFault) logger.error('TLS certificate not reloaded; the previous one stays in use', error);
      lastFault = fault;
    }
  };
  let checking = false;
  const timer = setInterval(() => {
    // A slow disk must not let them pile up.
    if (checking) return;
    checking = true;
    void check().finally(() => {
      checking = false;
    });
  }, intervalMs);
  return () => clearInterval(timer);
}

/**
 * The CAs that verify callers. While a list of CAs only grows, whoever was verified by an earlier list is verified by the
 * new one: a call of his is not refused because a CA was announced.
 */
export class CallerAuthorities {
  #current: string | undefined;
  /** Lists of which each CA is in the current one. */
  #contained: ReadonlySet<string>;

  /** @param list PEM; undefined: callers are not asked for a certificate. */
  constructor(list: string | undefined) {
    this.#current = list;
    this.#contained = new Set(list === undefined ? [] : [list]);
  }

  get current(): string | undefined {
    return this.#current;
  }

  replace(list: string | undefined): void {
    this.#current = list;
    if (list === undefined) return;
    const now = new Set(splitList(list));
    const kept = [...this.#contained].filter((earlier) => splitList(earlier).every((ca) => now.has(ca)));
    this.#contained = new Set([...kept, list]);
  }

  /** Whether a caller that was verified by that list is verified by the current one. */
  stillVerify(list: string): boolean {
    return this.#contained.has(list);
  }
}

/** The certificates of a PEM text, each without its line breaks. */
function splitList(pem: string): readonly string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => block.replaceAll(/\s/g, ''));
}
