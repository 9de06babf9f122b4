import { fileURLToPath } from 'node:url';
import { compareStates, readState, report } from './compare.ts';

/*
 * Says what became worse between two states of bench/results and bench/instructions.json, and fails when something did.
 * Arguments: the older and the newer one, each a path or a revision of Git; with none, HEAD and the working tree.
 * `--only-quiet` judges only figures of which both runs were made on quiet machines of one kind.
 */
const args = process.argv.slice(2);
const places = args.filter((arg) => !arg.startsWith('--'));
const here = fileURLToPath(new URL('../..', import.meta.url));
const [older = 'HEAD', newer = here] = places;

const changes = compareStates(await readState(older), await readState(newer), {
  onlyQuiet: args.includes('--only-quiet'),
});
console.log(report(changes));
const worse = changes.filter(({ verdict }) => verdict === 'worse');
console.log(`\n${worse.length} of ${changes.length} figures became worse beyond what noise explains.`);
if (worse.length > 0) process.exitCode = 1;
