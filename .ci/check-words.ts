import path from 'node:path';
import { wordsInRepository } from './words.ts';

// `pnpm check:words` fails when a tracked text has a word that docs/style.md rules out.
const found = wordsInRepository(path.resolve(import.meta.dirname, '..'));
for (const line of found) console.log(line);
if (found.length > 0) {
  console.log(`${found.length} found; docs/style.md says what to write instead`);
  process.exitCode = 1;
}
