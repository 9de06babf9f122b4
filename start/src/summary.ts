import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Addresses } from './launch.ts';

const countBlocks = "SELECT COUNT(*) FROM rate_limits_v2 WHERE blocked_until > now() - interval '24 hours';";
const showBlocks =
  'SELECT identifier, tier, action, blocked_until FROM rate_limits_v2 ORDER BY created_at DESC LIMIT 10;';

const queryProgram = fileURLToPath(new URL('../dist/query.js', import.meta.url));

/** What to print when everything is up: where it is, and four commands to try. */
export function summary(addresses: Addresses, options: { readonly searchPath: string; readonly cwd: string }): string {
  const { port, redisUrl, postgresUrl, dataDir, adminKey } = addresses;
  const hasPsql = isOnPath('psql', options.searchPath);
  const program = `node ${path.relative(options.cwd, queryProgram)}`;
  // The URL of a server that was given may hold a password: the shell fills it in, not the screen.
  const url = hidden(postgresUrl) === postgresUrl ? `'${postgresUrl}'` : '"$DATABASE_URL"';
  const query = (sql: string): string => (hasPsql ? `psql ${url} -c "${sql}"` : `${program} ${url} "${sql}"`);
  const hint = hasPsql
    ? ''
    : '\n  (psql is not on the PATH; Debian and Ubuntu have it in the package postgresql-client.)\n';
  return `
Spillway is up.

  API       http://localhost:${port} (its description: /docs)
  Dashboard http://localhost:${port}/dashboard (log in with the key)
  Key       ${adminKey} (may do everything; ends with this command)
  Redis     ${hidden(redisUrl)}
  Postgres  ${hidden(postgresUrl)}
  Data      ${dataDir} (kept; --fresh wipes it)

Four commands to try in another terminal:

  # Flood it: twenty answers are 200, the rest 429
  for i in $(seq 25); do curl -s -o /dev/null -w '%{http_code}\\n' -X POST -H 'X-API-Key: demo' localhost:${port}/functions/v1/generate-content; done

  # Count the blocks of the last 24 hours
  ${query(countBlocks)}

  # Who was blocked, by which tier, doing what, until when
  ${query(showBlocks)}

  # Ask for a decision, as a program in another language would
  curl -s -X POST -H 'Authorization: Bearer ${adminKey}' -H 'Content-Type: application/json' -d '{"subject":"user-1"}' localhost:${port}/v1/limits/strict/consume
${hint}
Ctrl-C stops everything.
`;
}

/** A URL of Redis or Postgres without its password; one of a Cluster names several hosts, which `URL` can't read. */
function hidden(url: string): string {
  return url.replace(/^([^:]+:\/\/[^:@/]*):.*@/u, '$1:***@').replace(/([?&]\w*password=)[^&]*/giu, '$1***');
}

function isOnPath(program: string, searchPath: string): boolean {
  return searchPath
    .split(path.delimiter)
    .filter(Boolean)
    .some((directory) => {
      try {
        accessSync(path.join(directory, program), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
