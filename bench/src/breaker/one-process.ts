/*
 * Measures calls in a process of its own: run with the URL of a Redis. Prints what `inProcess` found, as JSON.
 */
import { inProcess } from './in-process.ts';

const [redisUrl = ''] = process.argv.slice(2);
// NaN has no JSON: what can't be measured is null.
process.stdout.write(JSON.stringify(await inProcess(redisUrl)));
