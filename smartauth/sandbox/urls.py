"""The sandbox's own pages; they exist in sandbox mode only."""

from django.urls import path

from smartauth.sandbox import views
from smartauth.sandbox.launcher.clinic_views import callback, start
from smartauth.sandbox.launcher.registering_views import register_app
from smartauth.sandbox.launcher.views import launcher, run, run_service, steps

urlpatterns = [
    path("launcher", launcher),
    path("launcher/", launcher, name="launcher"),
    path("launcher/run/<uuid:pk>", run, name="launcher_run"),
    path("launcher/run/<uuid:pk>/steps", steps, name="launcher_steps"),
    path("launcher/run/<uuid:pk>/service", run_service, name="launcher_service"),
    path("launcher/register", register_app, name="launcher_register"),
    path("launcher/start", start),
    path("launcher/callback", callback),
    path("launcher/app", views.to_app),
    path("launcher/app/", views.app),
    path("launcher/app/launch", views.launch),
]
