// Prints `<passed> <failed> <remark>` of a run of vitest, from its JSON report and its exit code.
// A file that could not be loaded, an error outside of tests, a crash and an empty run count as one failure each.
import { readFileSync } from 'node:fs';

/** @returns {{ passed: number, failed: number, remarks: string[] }} */
function count(report, exitCode) {
  const remarks = [];
  const brokenFiles = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  ).length;
  let failed = report.numFailedTests + brokenFiles;
  const skipped = report.numPendingTests + report.numTodoTests;
  if (brokenFiles > 0) remarks.push(`${brokenFiles} files could not run`);
  if (skipped > 0) remarks.push(`${skipped} skipped`);
  if (report.numTotalTests === 0 && failed === 0) {
    failed = 1;
    remarks.push('no tests ran');
  }
  if (failed === 0 && (exitCode !== 0 || !report.success)) {
    failed = 1;
    remarks.push(`the run itself failed, exit code ${exitCode}`);
  }
  return { passed: report.numPassedTests, failed, remarks };
}

function read(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

const [path = '', exitCode = '1'] = process.argv.slice(2);
const report = read(path);
const { passed, failed, remarks } =
  report === undefined
    ? { passed: 0, failed: 1, remarks: [`no report, exit code ${exitCode}`] }
    : count(report, Number(exitCode));
process.stdout.write(`${passed} ${failed} ${remarks.join(', ')}\n`);
