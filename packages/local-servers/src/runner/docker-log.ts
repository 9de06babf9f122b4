/** Bytes before each piece of a container's output: one for the stream, three unused, four for the length. */
const headerBytes = 8;

/**
 * Takes apart what the engine answers for the logs of a container without a terminal: pieces of stdout and stderr,
 * each behind a header (Docker Engine API, "Attach to a container", stream format).
 *
 * @returns the lines, without the empty last one
 */
export function decodeDockerLog(log: Buffer): readonly string[] {
  let text = '';
  for (let at = 0; at + headerBytes <= log.length;) {
    const length = log.readUInt32BE(at + 4);
    text += log.toString('utf8', at + headerBytes, at + headerBytes + length);
    at += headerBytes + length;
  }
  return text === '' ? [] : text.trimEnd().split('\n');
}
