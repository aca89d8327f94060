/** Shows the demo on a terminal, or as plain lines elsewhere. */
import { Narrator } from './narration.ts';
import type { Presenter, Programme } from './programme.ts';
import { type Line, renderProgramme, type Span, type Style } from './view.ts';

/** The part of `process.stdout` that is used. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

const ESC = '\x1b[';
const STYLES: Readonly<Record<Style, string>> = { plain: '', strong: '1', dim: '2', good: '32', bad: '31' };
const JOB_COLORS = ['36', '33'];
/** Redraws on the alternate screen, without a cursor, and as one update where the terminal supports it. */
const ENTER = `${ESC}?1049h${ESC}?25l`;
const LEAVE = `${ESC}?25h${ESC}?1049l`;
const BEGIN_UPDATE = `${ESC}?2026h`;
const END_UPDATE = `${ESC}?2026l`;

/** Draws on a terminal, and writes lines elsewhere. Respects `env.NO_COLOR` and `TERM=dumb`. */
export function createPresenter(output: Output, env: Readonly<Record<string, string | undefined>>): Presenter {
  if (!output.isTTY || env.TERM === 'dumb') return new LinePresenter(output);
  return new ScreenPresenter(output, !env.NO_COLOR);
}

class LinePresenter implements Presenter {
  readonly #output: Output;
  readonly #narrator = new Narrator();
  #shown: Programme | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  show(programme: Programme): void {
    this.#shown = programme;
    this.#write(this.#narrator.narrate(programme));
  }

  close(): void {
    if (this.#shown !== undefined) this.#write(this.#narrator.conclude(this.#shown));
    this.#shown = undefined;
  }

  #write(lines: readonly string[]): void {
    for (const line of lines) this.#output.write(`${line}\n`);
  }
}

class ScreenPresenter implements Presenter {
  readonly #output: Output;
  readonly #colored: boolean;
  #shown: Programme | undefined;
  #closed = false;

  constructor(output: Output, colored: boolean) {
    this.#output = output;
    this.#colored = colored;
  }

  show(programme: Programme): void {
    if (this.#closed) return;
    const { columns = 80, rows = 24 } = this.#output;
    const lines = renderProgramme(programme, columns);
    // On a screen that is too low, show the end of the page, where things change.
    const visible = lines.slice(-rows).map((line) => `${this.#format(clip(line, columns))}${ESC}K`);
    const enter = this.#shown === undefined ? ENTER : '';
    this.#output.write(`${enter}${BEGIN_UPDATE}${ESC}H${visible.join('\r\n')}${ESC}J${END_UPDATE}`);
    this.#shown = programme;
  }

  close(): void {
    if (this.#shown === undefined || this.#closed) return;
    this.#closed = true;
    const lines = renderProgramme(this.#shown, this.#output.columns ?? 80);
    this.#output.write(`${LEAVE}${lines.map((line) => `${this.#format(line)}\n`).join('')}`);
  }

  #format(line: Line): string {
    return line.map((piece) => (this.#colored ? paint(piece) : piece.text)).join('');
  }
}

function paint({ text, style, job, solid }: Span): string {
  const codes = [STYLES[style], job === undefined ? '' : JOB_COLORS[job % JOB_COLORS.length], solid ? '7' : ''];
  const set = codes.filter((code) => code).join(';');
  return set === '' ? text : `${ESC}${set}m${text}${ESC}0m`;
}

function clip(line: Line, width: number): Line {
  let room = width;
  return line.map((piece) => {
    const text = piece.text.slice(0, room);
    room -= text.length;
    return { ...piece, text };
  });
}
