/** Ends with 0 when the URL that it is given answers 2xx within two seconds. The images have neither curl nor wget to trust. */
const [, , url = ''] = process.argv;
try {
  const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
  process.exitCode = response.ok ? 0 : 1;
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}
