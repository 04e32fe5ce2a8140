const targets = ["etc/passwd", "etc\\passwd", "x", ".lockstep/hold/x", ".ssh/authorized_keys"];
const ups = ["..", "../..", "../../../../..", "a/../..", "./..", ".//..", "..\\", "..;", "...."];
const devices = ["CON", "PRN", "AUX", "NUL", "COM1", "LPT9", "con.txt", "aux.", "nul ", "COM¹"];
const controls = Array.from({ length: 32 }, (_, code) => `a${String.fromCharCode(code)}b`);
const own = [".lockstep", ".LOCKSTEP", ".Lockstep", ".lockſtep", ".locKstep", "．lockstep"];
const looks = [
  "․․",
  "‥",
  "∕etc",
  "⁄etc",
  "／etc",
  "＼etc",
  "%2e%2e%2f",
  "%2fetc",
  "%00",
  "..%c0%af",
];
const bytes = ["a\0", "\0", "a\0/../x", "\u007f", "\ud800", "a\udfff", "\udc00\ud800"];
const long = ["x".repeat(256), "ß".repeat(128), "🗂".repeat(64), "../".repeat(100), "a/".repeat(90)];
/** What leads out of a folder, through it, or nowhere, on some system, in some spelling. */
export const HOSTILE_NAMES: readonly string[] = [
  "",
  " ",
  ".",
  "..",
  "/",
  "//",
  "~",
  "~root",
  "-rf",
  "*",
  "$HOME",
  "`id`",
  "a:b",
  "C:",
  "C:\\x",
  ...ups.flatMap((up) => [up, `${up}/`, ...targets.map((target) => `${up}/${target}`)]),
  ...targets.flatMap((target) => [
    `/${target}`,
    `./${target}`,
    `C:\\${target}`,
    `file:///${target}`,
  ]),
  ...targets.map((target) => `\\\\server\\share\\${target}`),
  ...targets.map((target) => `\\\\?\\${target}`),
  ...devices,
  ...devices.map((name) => `${name}:stream`),
  ...controls,
  ...own,
  ...own.map((name) => `${name}/x`),
  ...looks,
  ...bytes,
  ...long,
  ...looks.map((name) => `a${name}`),
  "\u202ecod.exe",
  "\u200b",
  "\ufeffa",
  "a\r\nb",
  "trailing.",
  "trailing ",
];
