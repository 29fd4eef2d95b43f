SELECT name_zh, email FROM view.institutions WHERE id = $1
