/** Text that may stand in a header: anything outside printable ASCII becomes `?`. */
export function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 256)
}
