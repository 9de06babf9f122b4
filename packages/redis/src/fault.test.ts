import { expect, it } from 'vitest';
import { redisFault } from './fault.ts';

function reply(message: string): Error {
  return Object.assign(new Error(message), { name: 'ReplyError', command: { args: ['secret'] } });
}

it.each([
  ["READONLY You can't write against a read only replica.", 'read_only'],
  ['ERR Error running script (call to f_1): @user_script:3: @user_script: 3: -READONLY You', 'read_only'],
  ['MASTERDOWN Link with MASTER is down', 'read_only'],
  ["OOM command not allowed when used memory > 'maxmemory'.", 'out_of_memory'],
  ['BUSY Redis is busy running a script.', 'busy'],
  ['MISCONF Redis is configured to save RDB snapshots', 'not_persisting'],
  ['LOADING Redis is loading the dataset in memory', 'loading'],
  ['NOAUTH Authentication required.', 'authentication'],
  ['WRONGPASS invalid username-password pair', 'authentication'],
  ["NOPERM User app has no permissions to run the 'evalsha' command", 'access_denied'],
  ["ERR The user executing the script can't publish to the channel mentioned", 'access_denied'],
  ["ERR unknown command 'EVALSHA', with args beginning with: 'secret'", 'unknown_command'],
  ["ERR unsupported command 'evalsha'", 'unknown_command'],
  ["ERR user_script:5: Script attempted to access nonexistent global variable 'make_log'", 'script_error'],
  ["ERR Can't execute 'evalsha': only (P|S)SUBSCRIBE / PING / QUIT are allowed in this context", 'client_in_use'],
  ['MOVED 866 127.0.0.1:7001', 'cluster_client_needed'],
  ['CLUSTERDOWN Hash slot not served', 'cluster_down'],
  ['ERR max number of clients reached', 'error_answer'],
])('%s is %s, and nothing of its text is repeated', (message, code) => {
  const fault = redisFault(reply(message));
  expect(fault.code).toBe(code);
  expect(`${JSON.stringify(fault)} ${fault.message}`).not.toMatch(/secret|app/u);
});

it('names the command that the server does not know', () => {
  const { message } = redisFault(reply("ERR unknown command 'info', with args beginning with: 'secret'"));
  expect(message).toMatch(/does not know a command that is needed \(INFO\)$/u);
});

it('is the error of the node that a Cluster asked last', () => {
  const lastNodeError = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  expect(redisFault(Object.assign(new Error('Failed to refresh slots cache.'), { lastNodeError }))).toMatchObject({
    code: 'not_connected',
    detail: 'ECONNREFUSED',
  });
});
