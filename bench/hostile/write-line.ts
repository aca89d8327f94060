/**
 * Writes of Muster wait here until the API server in memory takes them, one at a time: otherwise all that it does for a
 * thousand of them, copying included, would count as one stretch of Muster. In production they are answered one after the
 * other, too.
 */
import type { ClusterWriter } from '../../src/gang/framework/ports.ts';

export class WriteLine {
  readonly #waiting: (() => void)[] = [];

  /** The writer with each of its calls in the line. */
  wrap(writer: ClusterWriter): ClusterWriter {
    return new Proxy(writer, {
      get: (target, name) => {
        const write = Reflect.get(target, name) as unknown;
        if (typeof write !== 'function') return write;
        return async (...args: readonly unknown[]) => {
          await new Promise<void>((go) => this.#waiting.push(go));
          return (await Reflect.apply(write, target, args)) as unknown;
        };
      },
    });
  }

  /** Lets the next write go. @returns whether there was one. */
  next(): boolean {
    const go = this.#waiting.shift();
    go?.();
    return go !== undefined;
  }
}
