/** Which certificates are made anew, in which order, and what a crash in between leaves. */
import { randomBytes, X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readBundle } from '../../src/certs/certificate.ts';
import {
  type CertificateFiles,
  type FileChange,
  type Renewal,
  type RenewalWish,
  renewCertificates,
} from '../../src/certs/renewal.ts';

const DAY = 86_400_000;
const start = Date.UTC(2026, 11, 1);
const wish: RenewalWish = {
  serverNames: ['muster.muster-system.svc', 'localhost', '127.0.0.1'],
  schedulerName: 'system:kube-scheduler',
  days: 90,
  rotateCa: false,
};

function renew(files: CertificateFiles, more: Partial<RenewalWish> = {}, day = 0): Renewal {
  return renewCertificates(files, { ...wish, ...more }, { now: start + day * DAY, random: randomBytes });
}

function apply(files: CertificateFiles, changes: readonly FileChange[]): CertificateFiles {
  const next: Record<string, string> = { ...files };
  for (const { name, content } of changes) {
    if (content === undefined) delete next[name];
    else next[name] = content;
  }
  return next;
}

/** Renews and writes; returns the files and what was done, in words. */
function run(files: CertificateFiles, more: Partial<RenewalWish> = {}, day = 0) {
  const renewal = renew(files, more, day);
  if (renewal.kind === 'refused') throw new Error(renewal.text);
  const done = renewal.notes.map(({ what, kind, because }) => `${what} ${kind}${because && `: ${because}`}`);
  return { files: apply(files, renewal.changes), done, changes: renewal.changes };
}

const fresh = run({});

/** Whether each end knows the CA of the other. */
function trusts(verifier: string, presented: string): boolean {
  const certificate = new X509Certificate(presented);
  return readBundle(verifier).some((ca) => certificate.checkIssued(ca) && certificate.verify(ca.publicKey));
}

describe('without change of the CA', () => {
  test('at first everything is made, keys before certificates', () => {
    expect(fresh.done).toEqual([
      'ca made: there is none',
      'server made: there is none',
      'scheduler made: there is none',
    ]);
    expect(fresh.changes.map(({ name }) => name)).toEqual([
      'ca.key',
      'ca.crt',
      'tls.key',
      'tls.crt',
      'scheduler.key',
      'scheduler.crt',
    ]);
    expect(trusts(fresh.files['ca.crt']!, fresh.files['tls.crt']!)).toBe(true);
  });

  test('a second run keeps everything', () => {
    const again = run(fresh.files);
    expect(again.done).toEqual(['ca kept', 'server kept', 'scheduler kept']);
    expect(again.changes).toEqual([]);
  });

  test('the last third of the time is when certificates are made anew', () => {
    expect(run(fresh.files, {}, 59).changes).toEqual([]);
    const due = run(fresh.files, {}, 61);
    expect(due.done[1]).toMatch(/^server made: it ends at Mar {2}1 /);
    expect(due.changes.map(({ name }) => name)).toEqual(['tls.key', 'tls.crt', 'scheduler.key', 'scheduler.crt']);
    expect(run(fresh.files, {}, 91).done[2]).toMatch(/^scheduler made: it ended at /);
    expect(run(fresh.files, {}, -1).done[2]).toMatch(/^scheduler made: it is valid only from /);
  });

  const other = run({}).files;
  test.each<[string, CertificateFiles, Partial<RenewalWish>, string]>([
    ['a certificate that is gone', { 'tls.crt': undefined! }, {}, 'server made: there is none'],
    ['a key that is gone', { 'tls.key': undefined! }, {}, 'server made: its key is missing'],
    ['a file that is cut', { 'tls.crt': 'cut' }, {}, 'server made: the files are not readable'],
    [
      'a key of another pair',
      { 'tls.key': other['tls.key']! },
      {},
      'server made: the key is that of another certificate',
    ],
    [
      'a pair of another CA',
      { 'tls.key': other['tls.key']!, 'tls.crt': other['tls.crt']! },
      {},
      'server made: another CA signed it',
    ],
    [
      'a further name',
      {},
      { serverNames: ['muster.muster-system.svc', 'b.svc'] },
      'server made: it does not name b.svc',
    ],
    ['a further address', {}, { serverNames: ['localhost', '10.0.0.7'] }, 'server made: it does not name 10.0.0.7'],
    ['another scheduler', {}, { schedulerName: 'gpu' }, 'scheduler made: it names "system:kube-scheduler"'],
  ])('%s is made anew, and nothing else', (_, found, more, what) => {
    const files = Object.fromEntries(
      Object.entries({ ...fresh.files, ...found }).filter(([, text]) => text !== undefined),
    );
    const { done } = run(files, more);
    expect(done).toContain(what);
    expect(done.filter((each) => each.endsWith('kept'))).toHaveLength(2);
  });

  test('no certificate outlives its CA, and an end of the CA in sight is told', () => {
    const day = 3650 - 30;
    const renewal = renew(fresh.files, {}, day);
    const notes = renewal.kind === 'renewal' ? renewal.notes : [];
    expect(notes.map(({ kind }) => kind)).toEqual(['ca-ends', 'made', 'made']);
    expect(new Set(notes.map(({ until }) => until)).size).toBe(1);
  });
});

describe('what is not overwritten', () => {
  const other = run({}).files;
  const leave = (...names: readonly string[]) =>
    Object.fromEntries(Object.entries(fresh.files).filter(([name]) => !names.includes(name)));

  test('without the key of the CA good certificates are kept, and others are refused', () => {
    expect(run(leave('ca.key')).done).toEqual(['ca kept', 'server kept', 'scheduler kept']);
    expect(renew(leave('ca.key', 'tls.crt'))).toMatchObject({
      kind: 'refused',
      text: 'expected ca.key to sign tls.crt anew, because there is none, found none; put it back for that',
    });
    expect(renew(leave('ca.key'), { rotateCa: true })).toMatchObject({ kind: 'refused' });
  });

  test.each<[string, CertificateFiles, string]>([
    ['a key without its CA', leave('ca.crt'), 'expected ca.crt beside ca.key'],
    ['a key of another CA', { ...fresh.files, 'ca.key': other['ca.key']! }, 'to be the key of a CA in ca.crt'],
    ['a CA that is no certificate', { ...fresh.files, 'ca.crt': 'text' }, 'expected PEM certificates in ca.crt'],
    ['a key that is none', { ...fresh.files, 'ca.key': 'text' }, 'expected a private key in PEM in ca.key'],
  ])('%s is refused', (_, files, text) => {
    expect(renew(files)).toEqual({ kind: 'refused', text: expect.stringContaining(text) });
  });

  test('a CA that has ended is refused', () => {
    expect(renew(fresh.files, {}, 3651)).toMatchObject({ kind: 'refused', text: expect.stringContaining('ended at') });
  });
});

describe('another CA in three steps', () => {
  const announced = run(fresh.files, { rotateCa: true });
  const switched = run(announced.files, { rotateCa: true });
  const retired = run(switched.files, { rotateCa: true });

  test('it is announced, signs, and is alone', () => {
    expect(announced.done[0]).toMatch(/^ca ca-announced: /);
    expect(announced.done.slice(1)).toEqual(['server kept', 'scheduler kept']);
    expect(switched.done[0]).toMatch(/^ca ca-switched: /);
    expect(switched.done.slice(1)).toEqual([
      'server made: another CA signed it',
      'scheduler made: another CA signed it',
    ]);
    expect(retired.done[0]).toMatch(/^ca ca-retired: /);
    expect([fresh, announced, switched, retired].map(({ files }) => readBundle(files['ca.crt']!).length)).toEqual([
      1, 2, 2, 1,
    ]);
    expect(trusts(retired.files['ca.crt']!, fresh.files['tls.crt']!)).toBe(false);
    expect(retired.files['ca-next.key']).toBeUndefined();
  });

  test('whoever is one step behind is still understood, in both directions', () => {
    for (const [earlier, later] of [
      [fresh, announced],
      [announced, switched],
      [switched, retired],
    ] as const) {
      expect(trusts(earlier.files['ca.crt']!, later.files['tls.crt']!)).toBe(true);
      expect(trusts(later.files['ca.crt']!, earlier.files['scheduler.crt']!)).toBe(true);
    }
  });

  test('an ordinary run between the steps changes nothing', () => {
    for (const { files } of [announced, switched, retired]) expect(run(files).changes).toEqual([]);
  });
});

test('after a crash between any two writes, the next runs end with files that fit', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ rotateCa: fc.boolean(), days: fc.integer({ min: 0, max: 80 }), written: fc.nat(8) }), {
        maxLength: 4,
      }),
      (steps) => {
        let files: CertificateFiles = fresh.files;
        let day = 0;
        for (const { rotateCa, days, written } of steps) {
          day += days;
          const renewal = renew(files, { rotateCa }, day);
          if (renewal.kind === 'refused') throw new Error(renewal.text);
          files = apply(files, renewal.changes.slice(0, written));
        }
        const { files: after } = run(files, {}, day);
        expect(run(after, {}, day).changes).toEqual([]);
        expect(trusts(after['ca.crt']!, after['tls.crt']!)).toBe(true);
        expect(trusts(after['ca.crt']!, after['scheduler.crt']!)).toBe(true);
        expect(new X509Certificate(after['tls.crt']!).validToDate.getTime()).toBeGreaterThan(start + day * DAY);
      },
    ),
    { numRuns: 60 },
  );
});
