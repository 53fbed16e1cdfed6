-- Two accounts for the portal in PostgreSQL: one changes the schema, one serves and cannot. As the superuser, once:
--
--   createdb portal
--   psql --dbname=portal --set=ON_ERROR_STOP=1 --file=deploy/database_roles.sql
--   psql --dbname=portal --command='\password portal_migrate' --command='\password portal_serve'
--
-- `manage.py migrate` runs with DATABASE_URL=postgres://portal_migrate:…, everything else with portal_serve.

CREATE ROLE portal_migrate LOGIN;
CREATE ROLE portal_serve LOGIN;

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO portal_migrate, portal_serve;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO portal_migrate;
GRANT USAGE ON SCHEMA public TO portal_serve;

-- Rows, but no tables, columns, triggers or functions; and no TRUNCATE, which fires no trigger of a row.
ALTER DEFAULT PRIVILEGES FOR ROLE portal_migrate IN SCHEMA public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO portal_serve;
ALTER DEFAULT PRIVILEGES FOR ROLE portal_migrate IN SCHEMA public
  GRANT USAGE ON SEQUENCES TO portal_serve;
