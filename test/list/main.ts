import { fileURLToPath } from 'node:url';
import * as shop from '../../src/service/shop.ts';
import { listProblems } from './check.ts';

// Compares the list of what the service is made of with what stands in the repository.
const problems = await listProblems(fileURLToPath(new URL('../..', import.meta.url)), shop);
for (const problem of problems) process.stdout.write(`${problem}\n`);
process.stdout.write(`${problems.length} problems\n`);
process.exitCode = problems.length > 0 ? 1 : 0;
