"""axstat: AI adoption in Korea, from delivered survey files to a published report."""
