import { hotPathBehaviour, openRedis } from '../src/ioredis.ts';

/*
 * Opens the URL of the command line and prints `ready` once it has answered, or the last error after ten seconds. A process
 * of its own, since Node reads NODE_EXTRA_CA_CERTS when it starts.
 */
const client = openRedis(process.argv[2] ?? '', hotPathBehaviour());
let last = 'nothing was heard';
client.on('error', (error: Error) => (last = error.message));
const give = (text: string): void => {
  process.stdout.write(`${text}\n`);
  process.exit(0);
};
client.on('ready', () => {
  client.call('GET', ['key']).then(
    () => give('ready'),
    (error: Error) => give(error.message),
  );
});
setTimeout(() => give(`not ready: ${last}`), 10_000);
