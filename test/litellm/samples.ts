/** One sample of a Prometheus page. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** The samples of a page in Prometheus' text format. */
export function parseSamples(text: string): Sample[] {
  return text.split('\n').flatMap((line) => {
    const found = /^([a-z_:]\w*)(?:\{(.*)\})? (\S+)/i.exec(line)
    if (!found) return []
    const [, name = '', labels = '', value] = found
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)]
    return [
      { name, labels: Object.fromEntries(pairs.map(([, key, text_]) => [key, text_])), value: Number(value) },
    ]
  })
}
