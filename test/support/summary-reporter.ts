/** A vitest reporter that prints the totals. */
import type { Reporter, TestModule } from 'vitest/node';

/**
 * Ends the run with `N passed, N failed` alone on a line. Problems outside a test (a file that does not load, a hook,
 * an unhandled error, an interrupt) count as failed, so that a broken run never prints `0 failed`.
 */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[], reason: string): void {
    let passed = 0;
    let failed = unhandled.length;
    for (const module of modules) {
      const before = failed;
      failed += module.errors().length;
      for (const suite of module.children.allSuites()) failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed++;
        else if (state !== 'skipped') failed++;
      }
      if (!module.ok() && failed === before) failed++;
    }
    if (reason !== 'passed' && failed === 0) failed = 1;
    if (modules.length === 0) failed++;
    process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
  }
}
