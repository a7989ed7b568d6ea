import type { ReactNode } from "react";

interface PageHeadProps {
  icon: ReactNode;
  title: string;
  /** A quieter line: state, uptime and so on. */
  facts?: ReactNode;
  actions?: ReactNode;
}

/** The head of a page: what it is about and what can be done. */
export function PageHead({ icon, title, facts, actions }: PageHeadProps) {
  return (
    <header className="page-head">
      <div className="page-head-icon">{icon}</div>
      <div className="page-head-text">
        <h1>{title}</h1>
        {facts && <div className="page-head-facts">{facts}</div>}
      </div>
      {actions && <div className="page-head-actions">{actions}</div>}
    </header>
  );
}
