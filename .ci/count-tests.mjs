// Prints `N passed, N failed, N skipped` from vitest's JSON report, and fails when a test failed or none ran.
import { readFileSync } from 'node:fs';

const [, , file, status] = process.argv;
const text = readFileSync(file, 'utf8');
if (text === '') {
  console.error('the test runner wrote no report');
  process.exit(1);
}
const {
  numPassedTests: passed,
  numFailedTests: failed,
  numPendingTests: pending,
  numTodoTests: todo,
} = JSON.parse(text);
console.log(`${passed} passed, ${failed} failed, ${pending + todo} skipped`);
if (passed === 0 || failed > 0 || status !== '0') process.exitCode = 1;
