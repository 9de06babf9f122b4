// oxlint-disable import/no-default-export
export default function Layout({ children }) {
  return (
    <html>
      <body>{children}</body>
    </html>
  );
}
