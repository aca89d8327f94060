/** Where certificates are kept: the files of a directory. Secrets of a cluster: `certs/secrets.ts`. */
import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type CertificateFiles, certificateFiles, type FileChange } from './renewal.ts';

export interface CertificateStore {
  /** For people, such as `/etc/kubernetes/pki/muster`. */
  readonly place: string;
  /** @throws Error when what is there cannot be read. */
  read(): Promise<CertificateFiles>;
  /**
   * Writes the changes of what `read` returned, in their order.
   * @returns what could not be done beside, for people.
   * @throws Error when somebody else changed it meanwhile, or it cannot be written.
   */
  write(changes: readonly FileChange[]): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** The files of a directory, which is made if it is not there. Only their owner may read keys. */
export class CertificateDirectory implements CertificateStore {
  readonly place: string;

  constructor(path: string) {
    this.place = path;
  }

  async read(): Promise<CertificateFiles> {
    const files: Record<string, string> = {};
    for (const name of certificateFiles) {
      const content = await readIfThere(join(this.place, name));
      if (content !== undefined) files[name] = content;
    }
    return files;
  }

  async write(changes: readonly FileChange[]): Promise<readonly string[]> {
    if (changes.length > 0) await mkdir(this.place, { recursive: true });
    for (const { name, content } of changes) {
      const path = join(this.place, name);
      if (content === undefined) await rm(path, { force: true });
      else await replace(path, content, name.endsWith('.key') ? 0o600 : 0o644);
    }
    return [];
  }

  async close(): Promise<void> {}
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whoever reads the file sees the earlier content or the new one, and so does a machine that lost power. */
async function replace(path: string, content: string, mode: number): Promise<void> {
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  // Whatever the umask says, kube-scheduler may run as another user than the one who made the certificate.
  await chmod(temporary, mode);
  await rename(temporary, path);
}
