/** Formats a table in the style of kubectl. */

export interface Column {
  readonly title: string;
  /** Numbers are right-aligned. */
  readonly align?: 'left' | 'right';
}

/** A header and one line per row; columns are as wide as their widest cell. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const lines = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, column) => lines.reduce((width, line) => Math.max(width, line[column]!.length), 0));
  const format = (line: readonly string[]): string =>
    line
      .map((cell, column) =>
        columns[column]!.align === 'right' ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('   ')
      .trimEnd();
  return `${lines.map(format).join('\n')}\n`;
}
