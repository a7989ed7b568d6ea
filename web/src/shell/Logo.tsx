/** The mark: three basalt columns. */
export function Logo({ size = 28 }: { size?: number }) {
  return (
    <svg className="logo" viewBox="0 0 32 32" width={size} height={size} aria-hidden="true">
      <path className="logo-a" d="M2.5 17.5 7 15l4.5 2.5V29H2.5Z" />
      <path className="logo-top" d="M2.5 17.5 7 15l4.5 2.5L7 20Z" />
      <path className="logo-b" d="M11.5 8.5 16 6l4.5 2.5V29h-9Z" />
      <path className="logo-top" d="M11.5 8.5 16 6l4.5 2.5L16 11Z" />
      <path className="logo-c" d="M20.5 13.5 25 11l4.5 2.5V29h-9Z" />
      <path className="logo-top" d="M20.5 13.5 25 11l4.5 2.5L25 16Z" />
    </svg>
  );
}
