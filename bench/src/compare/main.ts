import { fileURLToPath } from 'node:url';
import { compareStates, needsReason, readState, report } from './compare.ts';

/*
 * Says what became worse between two states of bench/results and bench/instructions.json, and which goals were lowered or dropped, and
 * fails when there is any of that.
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
const bad = changes.filter(needsReason);
const worse = bad.filter(({ verdict }) => verdict === 'worse');
console.log(`\n${worse.length} of ${changes.length} figures became worse beyond what noise explains.`);
if (bad.length > worse.length) console.log(`Goals that were lowered or dropped: ${bad.length - worse.length}.`);
if (bad.length > 0) process.exitCode = 1;
