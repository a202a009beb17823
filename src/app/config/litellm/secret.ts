/** LiteLLM's `os.environ/NAME`. */

/** Converts `os.environ/NAME` to our form; any other value unchanged. */
export function secret(item: unknown): unknown {
  const name =
    typeof item === 'string' ? /^os\.environ\/([A-Za-z_][A-Za-z0-9_]*)$/.exec(item)?.[1] : undefined
  return name === undefined ? item : `\${env:${name}}`
}
