-- What the serving account need not change, once the tables are there. After the first `migrate`, as portal_migrate:
--
--   psql --username=portal_migrate --dbname=portal --set=ON_ERROR_STOP=1 --file=deploy/database_limits.sql

-- Only migrations write these.
REVOKE INSERT, UPDATE, DELETE ON django_migrations, django_content_type, auth_permission FROM portal_serve;
-- Append-only: the account can add to the security log, and delete what is older than SECURITY_LOG_RETENTION.
REVOKE UPDATE ON accounts_securityevent FROM portal_serve;
