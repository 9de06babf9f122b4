import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { outdatedScripts } from './lua-scripts.ts';

// `pnpm build:lua` writes the generated scripts; `pnpm check:lua` fails unless they are what the Lua says.
const root = path.resolve(import.meta.dirname, '..');
const checking = process.argv.includes('--check');
const outdated = outdatedScripts(root);
for (const { path: file, text } of outdated) {
  if (!checking) writeFileSync(file, text);
  console.log(`${checking ? 'is not what the Lua says' : 'written'}: ${path.relative(root, file)}`);
}
if (checking && outdated.length > 0) {
  console.log('Run: pnpm build:lua');
  process.exitCode = 1;
}
