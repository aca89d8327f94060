/**
 * The body of a filter or prioritize call, parsed lazily. A member with a slot is found by its UID alone, so its pod of
 * some 5 KB is never parsed, and neither is a pod that the watch has shown in the same version. A waiting member is rejected
 * without reading the node names. Measured: a member's call
 * costs the server's thread 60 µs less of 260.
 *
 * kube-scheduler writes `{"Pod":{"metadata":{"name":…,"uid":…},…},"Nodes":null,"NodeNames":[…]}`. A body of any other
 * form is decoded as ordinary JSON.
 */
import { NameList } from '../../core/snapshot/name-list.ts';
import { checkPod } from './pod-shape.ts';
import { CACHE_CAPABLE, expectObject, identifyPod, parseBody } from './wire.ts';
import { isPlainName, parseJson, WireError } from './wire-values.ts';

/**
 * UID and version of a pod as Go writes it: the preceding fields are strings without escapes. An owner's UID comes later,
 * and the same object cannot hold a second UID.
 */
const UID =
  /^\{"Pod":\{"metadata":\{(?:"(?:name|generateName|namespace|selfLink)":"[^"\\]*",)*"uid":"([\w-]+)"(?:,"resourceVersion":"([\w-]+)")?/;
/** Bytes that are searched for the UID; more than the names before it can take up together (253 + 253 + 63). */
const UID_WITHIN = 1024;

const NAMES_KEY = ',"NodeNames":[';
const CLOSING_BRACE = '}'.charCodeAt(0);

export class FilterArgs {
  readonly uid: string;
  /** '' when it is not where Go writes it. */
  readonly version: string;
  readonly #body: Buffer;
  /** Byte offset of the `NodeNames` key. */
  readonly #namesAt: number;
  #pod: Record<string, unknown> | undefined;
  #nodeNames: NameList | undefined;

  private constructor(uid: string, version: string, body: Buffer, namesAt: number) {
    this.uid = uid;
    this.version = version;
    this.#body = body;
    this.#namesAt = namesAt;
  }

  /** @throws WireError when the body is malformed; here, or later when the malformed part is read. */
  static read(body: Buffer): FilterArgs {
    const [, uid, version = ''] = UID.exec(body.toString('latin1', 0, UID_WITHIN)) ?? [];
    const namesAt = body.indexOf(NAMES_KEY);
    if (uid !== undefined && namesAt > 0 && body.at(-1) === CLOSING_BRACE) {
      return new FilterArgs(uid, version, body, namesAt);
    }
    const { pod, nodeNames } = decodeBody(body);
    const args = new FilterArgs(identifyPod(pod).uid, '', body, namesAt);
    args.#pod = pod;
    args.#nodeNames = nodeNames;
    return args;
  }

  /** The pod as kube-scheduler sent it, unprojected. */
  get pod(): object {
    return this.#parsedPod();
  }

  get nominatedNodeName(): string {
    return identifyPod(this.#parsedPod()).nominatedNodeName;
  }

  get nodeNames(): NameList {
    this.#nodeNames ??=
      NameList.read(this.#body, this.#namesAt + NAMES_KEY.length - 1, this.#body.length - 1) ??
      decodeBody(this.#body).nodeNames;
    return this.#nodeNames;
  }

  #parsedPod(): Record<string, unknown> {
    if (this.#pod === undefined) {
      const pod = parseHead(this.#body, this.#namesAt) ?? decodeBody(this.#body).pod;
      // A key may come twice in JSON, and the last one counts.
      if (identifyPod(pod).uid !== this.uid) throw new WireError('expected one Pod with one UID, found several');
      this.#pod = pod;
    }
    return this.#pod;
  }
}

/**
 * The pod in the part before the names; undefined when that part is not JSON, so that the key belongs to another
 * object.
 */
function parseHead(body: Buffer, end: number): Record<string, unknown> | undefined {
  let head: unknown;
  try {
    head = parseJson(`${body.toString('utf8', 0, end)}}`);
  } catch {
    return undefined;
  }
  const pod = expectObject(expectObject(head, 'a request body').Pod, 'Pod');
  checkPod(pod);
  return pod;
}

function decodeBody(body: Buffer): { readonly pod: Record<string, unknown>; readonly nodeNames: NameList } {
  const args = expectObject(parseBody(body), 'a request body');
  const pod = expectObject(args.Pod, 'Pod');
  const names = args.NodeNames;
  if (!Array.isArray(names)) {
    throw new WireError(`expected NodeNames, found ${args.Nodes ? 'Nodes' : 'none'}; ${CACHE_CAPABLE}`);
  }
  if (!names.every(isPlainName)) {
    throw new WireError(
      'expected NodeNames to be names of nodes: 1 to 253 printable ASCII characters without spaces, quotes and ' +
        'backslashes',
    );
  }
  checkPod(pod);
  return { pod, nodeNames: NameList.from(names) };
}
